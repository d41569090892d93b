"""What methods that compare two views of the image have in common: how the second one is made."""

from __future__ import annotations

from dataclasses import dataclass

from vapo.algorithms.algorithm import Algorithm, SecondView
from vapo.algorithms.options import option
from vapo.core.image_views import ViewKind

STRENGTH = (
    "How much of it: the share of patches that are black, of grey in the mixture, or of noise, or the blur's standard "
    "deviation in patches."
)


@dataclass(frozen=True, kw_only=True)
class TwoViews(Algorithm):
    """A method that compares the policy with itself behind another view of the image."""

    view: ViewKind = option(
        "patches", "The second view: black patches, the image mixed with grey, noise over it, or the image blurred."
    )
    view_strength: float = option(0.6, STRENGTH, at_least=0, at_most=1)
    patch_pixels: int = option(14, "Side of a patch, in pixels.", at_least=1)

    def second_view(self, *, per_response: bool = False) -> SecondView:
        """Return the view that the options describe, for each prompt or for each response."""
        return SecondView(self.view, self.view_strength, self.patch_pixels, per_response)
