"""PGPO: tokens that depend on the image get more of their response's credit (arXiv 2604.01840)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from vapo.algorithms.algorithm import Needs
from vapo.algorithms.options import DAPO, option
from vapo.algorithms.two_views import STRENGTH, TwoViews
from vapo.core.image_dependence import estimate_dependence, stretch_to_unit
from vapo.errors import ConfigError
from vapo.types import TokenScores

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class PGPO(TwoViews):
    """Multiply the advantage of each token by w_t * T / sum(w), T tokens long.

    w_t = I_t / tau below tau, and 1 + boost * (I_t - tau) / (1 - tau) from there on, where I is log(1 + k3(p, q))
    stretched over [0, 1] within the response. With a strength below 1, the factor is drawn towards 1.

    The paper's q is the policy that attends to no image token; here it is the policy in front of a black image of the
    same size. There is no published code.
    """

    view_strength: float = option(1.0, STRENGTH, at_least=0, at_most=1)
    threshold: float = option(0.4, "tau: dependence, in (0, 1), below which a token is attenuated.")
    boost: float = option(2.0, "beta of the paper: how much more the most dependent token counts.", at_least=0)
    strength: float = option(1.0, "How much of it is done; 0 weighs all tokens alike.", at_least=0, at_most=1)

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": DAPO,
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.threshold < 1:
            raise ConfigError(f"threshold must be above 0 and below 1, but is {self.threshold}")

    @property
    def needs(self) -> Needs:
        """A second view beside the prompt's own, by default a black image, and weights of tokens."""
        return Needs(token_weights=True, second_view=self.second_view())

    def token_weights(self, scores: TokenScores) -> torch.Tensor:
        """Return the factors, whose sum is T; 1 for all where all tokens depend alike."""
        assert scores.second is not None
        dependence = estimate_dependence(scores.log_probs, scores.second.log_probs).detach()
        stretched = stretch_to_unit(dependence.log1p())
        if stretched is None:
            return dependence.new_ones(len(dependence))
        attenuated = stretched / self.threshold
        boosted = 1 + self.boost * (stretched - self.threshold) / (1 - self.threshold)
        weights = attenuated.where(stretched < self.threshold, boosted)
        return 1 + self.strength * (weights * (len(weights) / weights.sum()) - 1)
