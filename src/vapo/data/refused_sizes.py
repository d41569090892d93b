"""Sizes of images that a model's processor refuses, told without a look at the images themselves."""

from __future__ import annotations

from typing import Any

from PIL import Image

_LONG = 16
"""Longer side over shorter, up to which no processor is known to refuse an image."""
_NARROW = 64
"""Pixels of the shorter side from which on none is; patches are smaller."""


class SizeCheck:
    """Tells which sizes a processor refuses, by giving it blank images of the unusual ones.

    Args:
        processor: a `transformers` processor with an `image_processor`.
    """

    def __init__(self, processor: Any) -> None:
        self._process = processor.image_processor
        self._refused: dict[tuple[int, int], str | None] = {}

    def refuse(self, size: tuple[int, int]) -> str | None:
        """Return why an image of a size, (width, height) in pixels, is refused; None if it is not."""
        if min(size) >= _NARROW and max(size) <= _LONG * min(size):
            return None
        if size not in self._refused:
            self._refused[size] = self._try(size)
        return self._refused[size]

    def _try(self, size: tuple[int, int]) -> str | None:
        try:
            self._process(images=[Image.new("RGB", size)], return_tensors="pt")
        except Exception as error:  # processors raise what they like
            said = " ".join(str(error).split())[:200] or type(error).__name__
            return (
                f"an image is {size[0]} x {size[1]} pixels, which the model's processor refuses ({said.rstrip('.')}); "
                "crop the image, or pad it"
            )
        return None
