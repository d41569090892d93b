"""Other views of an image of the same size: patches of it blackened, noise over it, grey, or blurred."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

ViewKind = Literal["patches", "grey", "noise", "blur"]


def blacken_patches(
    pixels_HWC: NDArray[np.uint8], share: float, patch_pixels: int, rng: Generator
) -> NDArray[np.uint8]:
    """Return an image whose patches are black, each with probability `share` (PAPO, arXiv 2507.06448, Section 3).

    Args:
        pixels_HWC: the image.
        share: in [0, 1].
        patch_pixels: side of a patch, at least 1; patches at the right and lower edge may be cut off.
        rng: draws one number for each patch.
    """
    height, width = pixels_HWC.shape[:2]
    black = rng.random((-(-height // patch_pixels), -(-width // patch_pixels))) < share
    covered = black.repeat(patch_pixels, 0).repeat(patch_pixels, 1)[:height, :width]
    return np.where(covered[:, :, None], np.uint8(0), pixels_HWC)


def add_noise(
    pixels_HWC: NDArray[np.uint8], strength: float, rng: Generator, *, darkest: float = -1.0
) -> NDArray[np.uint8]:
    """Return sqrt(1 - s^2) x + s e, for x the pixels, e normal and s the strength; rounded, and cut off.

    This is the forward process of a diffusion model whose signal is left with the variance 1 - s^2.

    Args:
        pixels_HWC: the image.
        strength: s, in [0, 1].
        rng: draws one number for each value.
        darkest: x of black, where that of white is 1: pixels are in [-1, 1] for most diffusion models, in [0, 1] in
            the code of NoisyRollout (arXiv 2504.13055), where the same strength is twice the noise and darkens.
    """
    scale = (1 - darkest) / 255
    signal = pixels_HWC * scale + darkest
    noisy = np.sqrt(1 - strength**2) * signal + strength * rng.standard_normal(pixels_HWC.shape)
    return np.clip(np.rint((noisy - darkest) / scale), 0, 255).astype(np.uint8)
