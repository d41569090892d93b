"""VPPO: tokens that depend on the image carry the update, and so do responses that do (arXiv 2510.09285)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from vapo.algorithms.algorithm import Needs
from vapo.algorithms.options import DAPO, option
from vapo.algorithms.two_views import STRENGTH, TwoViews
from vapo.core.image_dependence import estimate_dependence
from vapo.types import TokenScores

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class VPPO(TwoViews):
    """Keep the advantage of a response's most dependent tokens alone, times b_min + s^ * (b_max - b_min).

    s_t = k3(p, q) at token t, with q behind an image with blackened patches, drawn for each response. s^ is the mean
    of s_t over the response, stretched over [0, 1] within the rollout; b_max = b_min + (1 - b_min) / mean(s^), so that
    the mean factor is 1.

    The paper defines s_t as KL(p || q) over the vocabulary (`dependence` "vocabulary"); its published code, at
    a23c54b, uses k3 at the sampled token, the default here. The code stretches within the responses of an update on
    one process, and takes the mean of s^ over a micro-batch; here both are over all processes' responses of a rollout
    that are trained on.
    """

    kept_tokens: float = option(0.4, "Share of a response's tokens that keep their advantage.", at_least=0, at_most=1)
    least_weight: float = option(
        0.9,
        "b_min: factor of the response that depends least on the image; 1 weighs all alike.",
        at_least=0,
        at_most=1,
    )
    view_strength: float = option(0.5, STRENGTH, at_least=0, at_most=1)
    dependence: Literal["sampled", "vocabulary"] = option(
        "sampled", "s_t: k3 at the sampled token, as the code has it, or KL(p || q) over the vocabulary, as the paper."
    )

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # examples/configs/train_vppo_7b.sh: DAPO, graded by the answer alone, with an entropy penalty.
        "paper": {
            "accuracy_weight": 1.0,
            "format_weight": 0.0,
            **DAPO,
            "entropy_coef": -0.06,
        }
    }

    @property
    def needs(self) -> Needs:
        """A second view for each response, and weights of tokens and of responses."""
        view, whole = self.second_view(per_response=True), self.dependence == "vocabulary"
        return Needs(token_weights=True, summary=True, second_view=view, divergence=whole)

    def token_weights(self, scores: TokenScores) -> torch.Tensor:
        """Return 1 for the most dependent tokens, 0 for others; 1 for all where none depends on an image."""
        dependence = self._measure(scores)
        kept = math.ceil(self.kept_tokens * len(dependence) - 1e-9)
        if kept == len(dependence) or not dependence.any():
            return dependence.new_ones(len(dependence))
        weights = dependence.new_zeros(len(dependence))
        weights[dependence.topk(kept).indices] = 1
        return weights

    def summarize(self, scores: TokenScores) -> float:
        """Return the mean dependence of the response's tokens."""
        return float(self._measure(scores).mean())

    def response_weights(self, groups: Sequence[Sequence[float]]) -> Sequence[Sequence[float]]:
        """Return b_min + s^ * (b_max - b_min) for each response; 1 where all depend alike."""
        everyone = [one for group in groups for one in group]
        low, high = min(everyone, default=0.0), max(everyone, default=0.0)
        if self.least_weight == 1 or high - low <= 1e-6:
            return [[1.0] * len(group) for group in groups]
        mean = (sum(everyone) / len(everyone) - low) / (high - low)
        spread = (1 - self.least_weight) / mean
        return [[self.least_weight + (one - low) / (high - low) * spread for one in group] for group in groups]

    def _measure(self, scores: TokenScores) -> torch.Tensor:
        if self.dependence == "vocabulary":
            assert scores.divergence is not None
            return scores.divergence
        assert scores.second is not None
        return estimate_dependence(scores.log_probs, scores.second.log_probs).detach()
