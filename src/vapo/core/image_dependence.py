"""How much single tokens depend on the image, and numbers of tokens stretched over [0, 1]."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from torch import Tensor

MOST: Final = 10.0
"""Where the estimate is cut off: one token that hardly any policy writes would outweigh all others."""


def estimate_dependence(log_probs: Tensor, second_log_probs: Tensor) -> Tensor:
    """Return k3 = q / p - log(q / p) - 1 of each token, in [0, `MOST`].

    For tokens drawn from p, its mean is KL(p || q). No gradient flows through a token that is cut off.

    Args:
        log_probs: log p of the tokens, with the image.
        second_log_probs: log q of the same tokens, behind its second view; the same shape.

    Source: http://joschu.net/blog/kl-approx.html; the cut as in the published code of PAPO, VPPO and VGPO.
    """
    log_ratio = (second_log_probs - log_probs).clamp(-20, 20)
    return (log_ratio.exp() - log_ratio - 1).clamp(0, MOST)


def stretch_to_unit(values: Tensor) -> Tensor | None:
    """Return (x - min) / (max - min), in [0, 1]; None where all values are the same."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else None
