"""VGPO: tokens near the image get more credit, late ones above all, and so do responses (arXiv 2604.09349)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from vapo.algorithms.algorithm import Algorithm, Needs
from vapo.algorithms.options import DAPO, option
from vapo.core.image_dependence import stretch_to_unit
from vapo.types import TokenScores

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class VGPO(Algorithm):
    """Multiply advantages by psi_t of their token and alpha of their response.

    S_t = cos(last hidden state of token t, mean state of the image), stretched over [0, 1] within the response. In its
    late part the tokens nearest to the image get S_t * (1 + late_boost * t / T) (Eq 5 and 6). w is that, stretched
    again; psi_t = 1 + intra * (w_t - mean(w)), in [0.1, 2] (Eq 7 and 8). phi = sum(w), stretched over [0, 1] within
    the group; alpha = 1 + inter * (phi - mean(phi)), in [0.9, 2] (Eq 9 to 11).

    The published code, at d773c71, stretches S over all tokens of a micro-batch first and not over those of the
    response, puts t / T at 0 for the first token and at 1 for the last, as here, divides the loss by the sum of
    weights where its mask is soft, and takes the next eight rows of a micro-batch for the group, whether they are one
    or not. The clamps and the stretching within the group are the code's.
    """

    late_boost: float = option(0.3, "beta of Eq 5: how much is added at the last token.", at_least=0)
    late_share: float = option(0.5, "gamma of Eq 6: the late part of a response.", at_least=0, at_most=1)
    late_tokens: float = option(0.2, "kappa of Eq 6: share of the late tokens that get more.", at_least=0, at_most=1)
    intra: float = option(1.0, "How much tokens of a response differ; 0 weighs them alike.", at_least=0)
    inter: float = option(1.0, "How much responses of a group differ; 0 weighs them alike.", at_least=0)

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # train_vgpo_7B.sh and examples/configs/config.yaml: DAPO, graded by the answer alone.
        "paper": {
            "accuracy_weight": 1.0,
            "format_weight": 0.0,
            **DAPO,
        }
    }

    @property
    def needs(self) -> Needs:
        """States of tokens and of the image, and weights of tokens and of responses."""
        return Needs(token_weights=True, summary=True, image_similarity=True)

    def token_weights(self, scores: TokenScores) -> torch.Tensor:
        """Return psi; 1 for all tokens where there is no image."""
        focus = self.find_focus(scores)
        return (1 + self.intra * (focus - focus.mean())).clamp(0.1, 2.0)

    def summarize(self, scores: TokenScores) -> float:
        """Return phi before it is stretched."""
        return float(self.find_focus(scores).sum())

    def response_weights(self, groups: Sequence[Sequence[float]]) -> Sequence[Sequence[float]]:
        """Return alpha of each response; 1 where all of a group are alike."""
        return [self._weigh_group(group) for group in groups]

    def find_focus(self, scores: TokenScores) -> torch.Tensor:
        """Return w, in [0, 1], shape (T,); 0 where all tokens are equally near."""
        similarity = scores.image_similarity
        assert similarity is not None
        stretched = stretch_to_unit(similarity.detach())
        if stretched is None:
            return similarity.new_zeros(len(similarity))
        length = len(stretched)
        first_late = int(length * (1 - self.late_share) + 1e-9)
        late, chosen = stretched[first_late:], int((length - first_late) * self.late_tokens)
        if self.late_tokens > 0 and len(late):
            places = late.topk(max(1, chosen)).indices + first_late
            stretched[places] *= 1 + self.late_boost * places / max(1, length - 1)
        again = stretch_to_unit(stretched)
        assert again is not None
        return again

    def _weigh_group(self, group: Sequence[float]) -> Sequence[float]:
        low, high = min(group, default=0.0), max(group, default=0.0)
        if high == low:
            return [1.0] * len(group)
        stretched = [(one - low) / (high - low) for one in group]
        mean = sum(stretched) / len(stretched)
        return [min(max(1 + self.inter * (one - mean), 0.9), 2.0) for one in stretched]
