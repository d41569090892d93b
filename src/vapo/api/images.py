"""Images as they are sent to servers: encoded, no larger than a limit, as parts of a message."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from vapo.errors import ConfigError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 1_003_520
"""Width x height of what is sent: 1,280 patches of 28 x 28 pixels, as much as Qwen's models see by default."""

_LOSSLESS_PIXELS = 65_536
_LOSSLESS_COLOURS = 4096
_COMPRESSION = 1  # a third of the time of the usual 6, and up to a fifth more bytes
_QUALITY = 92


class ImageContent(Protocol):
    """An encoded image."""

    @property
    def media_type(self) -> str:
        """`image/png` or `image/jpeg`."""
        ...

    @property
    def content(self) -> bytes:
        """The encoded file."""
        ...


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """An image as a file; see `ImageContent`."""

    media_type: str
    content: bytes


def encode_lossless(image: Image) -> EncodedImage:
    """Return an image as PNG, every pixel as it is, in the bytes that TRL's client sends.

    vLLM tells images apart by their bytes: with others, probes would miss what the rollouts left in its prefix cache.
    """
    return _encode_png(image)


def encode_image(image: Image, max_pixels: int = MAX_PIXELS) -> EncodedImage:
    """Return an upright image in a size and format that every server reads.

    Small images, and drawings of few colours, are PNG, without loss; photographs are JPEG.

    Args:
        image: in any mode; what is not RGB is converted.
        max_pixels: width x height above which it is made smaller, in proportion.

    Raises:
        ConfigError: `max_pixels` is below 1.
    """
    if max_pixels < 1:
        raise ConfigError(f"max_pixels is {max_pixels}; it must be at least 1")
    shown = _shrink(image if image.mode == "RGB" else image.convert("RGB"), max_pixels)
    if shown.width * shown.height <= _LOSSLESS_PIXELS or shown.getcolors(_LOSSLESS_COLOURS) is not None:
        return _encode_png(shown, compress_level=_COMPRESSION)
    buffer = io.BytesIO()
    shown.save(buffer, format="JPEG", quality=_QUALITY, subsampling=0)
    return EncodedImage("image/jpeg", buffer.getvalue())


def _encode_png(image: Image, **options: int) -> EncodedImage:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", **options)
    return EncodedImage("image/png", buffer.getvalue())


def make_image_parts(images: Sequence[ImageContent]) -> list[dict[str, Any]]:
    """Return images as parts of a chat message, as data URLs."""
    return [{"type": "image_url", "image_url": {"url": _write_data_url(image)}} for image in images]


def _write_data_url(image: ImageContent) -> str:
    return f"data:{image.media_type};base64,{base64.b64encode(image.content).decode('ascii')}"


def _shrink(image: Image, max_pixels: int) -> Image:
    from PIL.Image import Resampling

    scale = math.sqrt(max_pixels / (image.width * image.height))
    if scale >= 1:
        return image
    width, height = max(1, math.floor(image.width * scale)), max(1, math.floor(image.height * scale))
    size = (min(width, max_pixels // height or 1), min(height, max_pixels // width or 1))
    return image.resize(size, Resampling.LANCZOS, reducing_gap=3.0)
