"""A reward for attention on the image, in the place of a perception reward (arXiv 2509.25848, an ablation)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from vapo.algorithms.algorithm import Algorithm, Needs
from vapo.algorithms.options import option
from vapo.core.advantages import perception_advantages
from vapo.core.rewards import gate_weight
from vapo.types import Reward, TokenScores

LEAST_SPREAD = 0.01
"""Differences between shares of attention are not enlarged beyond what they are at this spread."""


@dataclass(frozen=True, kw_only=True)
class AttentionReward(Algorithm):
    """Add weight * N(a) to the advantages of responses, for a the mean over tokens of attention on the image.

    a_t is the share of attention that the query which predicts token t gives to image tokens, averaged over layers and
    heads (arXiv 2509.25848, Section A.4). N subtracts the mean of those responses of the group that the gate lets
    through, and divides by their standard deviation, or by 0.01 if that is more.

    The paper's ablation adds the share to the reward, before the group is normalised. Attention is measured in the
    scoring pass, when TRL has normalised already, so here it is a part of the advantage of its own. SAYO (arXiv
    2602.08241) rewards attention on regions that the text is about, and RAL (arXiv 2602.04884) trains the attention
    itself; neither is this.
    """

    weight: float = option(0.1, "gamma: what normalised attention is multiplied by.", at_least=0)
    gate: Literal["strict", "none"] = option("strict", "Whom it reaches: right answers only (strict), or all (none).")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {"beta": 0.01, "epsilon": 0.2, "epsilon_high": 0.2, "loss_type": "grpo"}
    }

    @property
    def needs(self) -> Needs:
        """Attention of all layers, summed up for each response, and to be asked for advantages."""
        counts = self.weight > 0
        return Needs(
            accuracy=counts and self.gate == "strict",
            advantages=counts,
            summary=counts,
            image_attention="all" if counts else None,
        )

    def uses_verdicts(self, accuracy: float, progress: float) -> bool:
        """Return whether the gate is open, and attention is worth anything."""
        return self.weight > 0 and gate_weight(self.gate, accuracy, 0.0) > 0

    def summarize(self, scores: TokenScores) -> float:
        """Return the mean share of attention on the image, in [0, 1]."""
        attention = scores.image_attention
        assert attention is not None
        return float(attention.mean())

    def added_advantages(self, group: Sequence[Reward], progress: float) -> Sequence[float]:
        """Return weight times the normalised attention of those whom the gate lets through."""
        gates = [gate_weight(self.gate, one.accuracy, 0.0) for one in group]
        shares = [one.summary for one in group]
        return (self.weight * perception_advantages(shares, gates, LEAST_SPREAD)).tolist()
