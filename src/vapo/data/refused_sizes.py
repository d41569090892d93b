"""Sizes of images that a model's processor refuses, told without a look at the images themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from PIL import Image

_LONG = 16
"""Longer side over shorter, up to which no processor is known to refuse an image."""
_NARROW = 64
"""Pixels of the shorter side from which on none is; patches are smaller."""


def is_usual(size: tuple[int, int]) -> bool:
    """Return whether no processor is known to refuse images of a size, (width, height) in pixels."""
    return min(size) >= _NARROW and max(size) <= _LONG * min(size)


class SizeCheck:
    """Tells which sizes processors refuse, by giving them blank images of the unusual ones.

    Args:
        processors: `transformers` processors with an `image_processor`, of all models that are to see the images.
    """

    def __init__(self, *processors: Any) -> None:
        self._image_processors = [processor.image_processor for processor in processors]
        self._refused: dict[tuple[int, int], str | None] = {}

    def refuse(self, sizes: Iterable[tuple[int, int]]) -> str | None:
        """Return why one of several images is refused, by their (width, height) in pixels; None if none is."""
        for size in sizes:
            if is_usual(size):
                continue
            if size not in self._refused:
                tries = (_try(image_processor, size) for image_processor in self._image_processors)
                self._refused[size] = next((why for why in tries if why), None)
            if self._refused[size]:
                return self._refused[size]
        return None


def _try(image_processor: Any, size: tuple[int, int]) -> str | None:
    try:
        image_processor(images=[Image.new("RGB", size)], return_tensors="pt")
    except Exception as error:  # processors raise what they like
        said = " ".join(str(error).split())[:200] or type(error).__name__
        return (
            f"an image is {size[0]} x {size[1]} pixels, which the model's processor refuses ({said.rstrip('.')}); "
            "crop the image, or pad it"
        )
    return None
