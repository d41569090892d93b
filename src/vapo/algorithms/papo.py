"""PAPO: the policy is to write something else where it sees less (arXiv 2507.06448)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from vapo.algorithms.algorithm import Needs
from vapo.algorithms.options import DAPO, option
from vapo.algorithms.two_views import TwoViews
from vapo.core.image_dependence import estimate_dependence
from vapo.errors import ModelError
from vapo.types import TokenScores

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class PAPO(TwoViews):
    """Add to the loss of each token: -gamma * k3(p, q) + eta * (H(p) + H(q)).

    p is the policy with the image, q the same policy behind an image with blackened patches, k3 the estimate of
    KL(p || q) at the sampled token, H the entropy of the next token (Eq 2, with one eta for both entropies).

    The published code, at fb63bf4, scores q once for each rollout, so that no gradient flows through it
    (`second_gradient` False), and estimates H by -log p, whose mean gradient is 0 for tokens that the policy itself
    sampled. Of its two entropy terms, that of q has no gradient there (its issue 20). Here H is the entropy itself.
    """

    gamma: float = option(0.02, "Weight of the divergence between the two views.", at_least=0)
    eta: float = option(0.05, "Weight of the entropies of both views, which are to stay low.", at_least=0)
    second_gradient: bool = option(
        True, "Whether gradients flow through the second view too, as in the paper's objective but not in its code."
    )

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # Section 4.1 with GRPO, and examples/papo_grpo/qwen2_5_vl_7b_grpo_papo.sh. The code averages by "dapo".
        "paper": {
            "gamma": 0.02,
            "eta": 0.05,
            "accuracy_weight": 0.9,
            "format_weight": 0.1,
            "beta": 0.01,
            "epsilon": 0.2,
            "epsilon_high": 0.3,
            "loss_type": "grpo",
        },
        # With DAPO, and examples/papo_dapo/qwen2_5_vl_7b_dapo_papo.sh.
        "paper_dapo": {
            "gamma": 0.01,
            "eta": 0.03,
            "accuracy_weight": 0.9,
            "format_weight": 0.1,
            **DAPO,
        },
    }

    @property
    def needs(self) -> Needs:
        """A second view, and to be asked for a loss."""
        return Needs(token_loss=True, second_view=self.second_view())

    def token_loss(self, scores: TokenScores) -> torch.Tensor:
        """Return -gamma * k3 + eta * (H(p) + H(q)).

        Raises:
            ModelError: the entropies weigh something, and the model gives none.
        """
        second = scores.second
        assert second is not None
        blind, blind_entropies = second.log_probs, second.entropies
        if not self.second_gradient:
            blind = blind.detach()
            blind_entropies = None if blind_entropies is None else blind_entropies.detach()
        loss = -self.gamma * estimate_dependence(scores.log_probs, blind)
        if self.eta == 0:
            return loss
        if scores.entropies is None or blind_entropies is None:
            raise ModelError("the model gives no entropies of its tokens, which PAPO needs; set eta to 0")
        return loss + self.eta * (scores.entropies + blind_entropies)
