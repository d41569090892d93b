"""VAPO where and when: a response's credit lies where the policy saw, its blame where it did not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vapo.algorithms.algorithm import Needs
from vapo.algorithms.options import option
from vapo.algorithms.vapo import VAPO
from vapo.types import Verdict


@dataclass(frozen=True, kw_only=True)
class VAPOTokens(VAPO):
    """VAPO, and multiply the advantage of each token by w_t = 1 + strength * (c_t - mean(c)).

    Anchors cut a response into segments. h is the mean hit of the probes at the anchor that ends a segment; its tokens
    have c = h where the response's advantage is positive, and c = 1 - h where it is negative. So a good response is
    learned most where it led to right verdicts, and a bad one is unlearned most where it led to wrong ones. Behind the
    last anchor w is 1. Weights are in [0, 2], and their sum is the response's length.

    With `perception_weight` 0 the weights are all that perception changes. Verdicts are asked along all responses: a
    wrong one has places, too, where the policy saw.

    This library's own; there is no paper. docs/evidence.md says what it does in the lab.
    """

    strength: float = option(1.0, "How much tokens of a response differ; 0 weighs all alike.", at_least=0, at_most=1)

    @property
    def needs(self) -> Needs:
        """What VAPO needs, and to weigh tokens by verdicts."""
        return replace(super().needs, verdict_weights=self.num_anchors > 0 and self.strength > 0)

    def uses_verdicts(self, accuracy: float, progress: float) -> bool:
        """Return whether tokens are weighed, or the gate is open."""
        return self.needs.verdict_weights or super().uses_verdicts(accuracy, progress)

    def verdict_weights(self, verdicts: Sequence[Verdict], length: int, advantage: float) -> Sequence[float] | None:
        """Return w of each token; None where nothing was asked, or the advantage is 0."""
        if not (verdicts and advantage and self.needs.verdict_weights):
            return None
        hits: dict[int, list[float]] = {}
        for verdict in verdicts:
            hits.setdefault(verdict.probe.anchor.index, []).append(self.grade_verdict(verdict))
        ends = sorted(hits)
        seen = np.array([np.mean(hits[end]) for end in ends])
        deserved = np.repeat(seen if advantage > 0 else 1 - seen, np.diff([0, *ends]))
        weights = np.ones(length)
        weights[: len(deserved)] += self.strength * (deserved - deserved.mean())
        return weights.tolist()
