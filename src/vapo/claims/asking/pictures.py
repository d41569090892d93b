"""Pictures as they are sent to models and kept: no larger than a limit, in a format that every server reads."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vapo.claims.store.subjects import StoredImage
from vapo.core.picture_names import name_image
from vapo.errors import ConfigError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 1_003_520
"""Width x height of what is sent: 1,280 patches of 28 x 28 pixels, as much as Qwen's models see by default."""

_LOSSLESS_PIXELS = 65_536
_LOSSLESS_COLOURS = 4096
_COMPRESSION = 1  # a third of the time of the usual 6, and up to a fifth more bytes
_QUALITY = 92


def encode_picture(image: Image, max_pixels: int = MAX_PIXELS) -> StoredImage:
    """Return an upright picture as it is sent and kept.

    Small pictures, and drawings of few colours, are PNG, without loss; photographs are JPEG.

    Args:
        image: in any mode; what is not RGB is converted.
        max_pixels: width x height above which it is made smaller, in proportion.

    Raises:
        ConfigError: `max_pixels` is below 1.
    """
    if max_pixels < 1:
        raise ConfigError(f"max_pixels is {max_pixels}; it must be at least 1")
    image = image if image.mode == "RGB" else image.convert("RGB")
    name, (width, height) = name_image(image), image.size
    shown = _shrink(image, max_pixels)
    buffer = io.BytesIO()
    if shown.width * shown.height <= _LOSSLESS_PIXELS or shown.getcolors(_LOSSLESS_COLOURS) is not None:
        shown.save(buffer, format="PNG", compress_level=_COMPRESSION)
        return StoredImage(name, width, height, "image/png", buffer.getvalue())
    shown.save(buffer, format="JPEG", quality=_QUALITY, subsampling=0)
    return StoredImage(name, width, height, "image/jpeg", buffer.getvalue())


def write_message(instruction: str, images: Sequence[StoredImage]) -> dict[str, Any]:
    """Return the user message that asks about pictures: the text first, then the pictures in order."""
    shown = [{"type": "image_url", "image_url": {"url": write_data_url(image)}} for image in images]
    return {"role": "user", "content": [{"type": "text", "text": instruction}, *shown]}


def write_data_url(image: StoredImage) -> str:
    """Return a picture as a data URL."""
    return f"data:{image.media_type};base64,{base64.b64encode(image.content).decode('ascii')}"


def _shrink(image: Image, max_pixels: int) -> Image:
    from PIL.Image import Resampling

    scale = math.sqrt(max_pixels / (image.width * image.height))
    if scale >= 1:
        return image
    width, height = max(1, math.floor(image.width * scale)), max(1, math.floor(image.height * scale))
    size = (min(width, max_pixels // height or 1), min(height, max_pixels // width or 1))
    return image.resize(size, Resampling.LANCZOS, reducing_gap=3.0)
