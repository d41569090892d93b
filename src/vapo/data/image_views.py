"""What a model is shown in place of an image: grey, noise, the image with patches missing, or nothing.

All stand-ins have the image's own size, so a prompt keeps its tokens and only what fills them changes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args
from zlib import crc32

import numpy as np
from PIL import Image, ImageFilter

from vapo.core.image_views import ViewKind, add_noise, blacken_patches
from vapo.data.prompts import PLACE
from vapo.errors import ConfigError
from vapo.types import Sample

Masking = Literal["blank", "noise", "patches"]
"""A grey image; each pixel drawn anew; or random patches blackened, as PAPO does (arXiv 2507.06448, Section 3)."""

GREY = (128, 128, 128)
PATCH_PIXELS = 14
MASKED_SHARE = 0.6
"""Share of patches blackened, PAPO's default."""

_MASK_DRAWS = 7  # keeps this generator apart from others with the same seed


def mask_images(sample: Sample, masking: Masking = "blank", seed: int = 0) -> Sample:
    """Return the sample with every image masked.

    Args:
        sample: any; what is drawn depends on its id, not on the samples before it.
        masking: how.
        seed: of the draws.

    Raises:
        ConfigError: there is no such masking.
    """
    if masking not in get_args(Masking):
        raise ConfigError(f"masking is {masking!r}; it must be one of {', '.join(get_args(Masking))}")
    rng = np.random.default_rng([_MASK_DRAWS, seed, crc32(sample.id.encode())])
    return replace(sample, images=tuple(_mask(image, masking, rng) for image in sample.images))


def change_image(
    image: Image.Image, kind: ViewKind, strength: float, rng: np.random.Generator, patch_pixels: int = PATCH_PIXELS
) -> Image.Image:
    """Return another view of an image, in RGB and of its size.

    Args:
        image: any.
        kind: "patches" blackens patches, each with a probability of `strength` (arXiv 2507.06448); "grey" is the mean
            of image and grey weighted by it; "noise" is `add_noise`; "blur" is Gaussian, with a standard deviation of
            `strength` patches.
        strength: in [0, 1]; 0 leaves the pixels as they are.
        rng: for what is drawn.
        patch_pixels: side of a patch.
    """
    image = image.convert("RGB")
    if kind == "blur":
        return image.filter(ImageFilter.GaussianBlur(strength * patch_pixels))
    if kind == "grey":
        return Image.blend(image, Image.new("RGB", image.size, GREY), strength)
    pixels = np.array(image)
    if kind == "patches":
        return Image.fromarray(blacken_patches(pixels, strength, patch_pixels, rng))
    return Image.fromarray(add_noise(pixels, strength, rng) if strength else pixels)


def leave_out_images(sample: Sample) -> Sample:
    """Return the sample without images, and without their places in its question."""
    return replace(sample, images=(), question=sample.question.replace(PLACE, "").strip())


def scale_image(image: Image.Image, scale: float) -> Image.Image:
    """Return an image with both sides scaled, at least a pixel each. Raises ConfigError unless 0 < scale <= 1."""
    if not 0 < scale <= 1:
        raise ConfigError(f"scale is {scale}; it must be in (0, 1]")
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _mask(image: Image.Image, masking: Masking, rng: np.random.Generator) -> Image.Image:
    if masking == "blank":
        return Image.new("RGB", image.size, GREY)
    width, height = image.size
    if masking == "noise":
        return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    return change_image(image, "patches", MASKED_SHARE, rng)
