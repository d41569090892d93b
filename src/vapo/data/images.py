"""Open an image in any of the forms a row can hold it in, and bring it to upright RGB.

Only raster formats are opened: Pillow's reader for EPS, for one, starts another program. What a file makes its decoder
allocate is bounded before anything is decoded, by `max_pixels` and what is known of each format.
"""

from __future__ import annotations

import io
import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageOps, TiffImagePlugin

from vapo.data import confined_decoding
from vapo.data.image_files import Folder, download_image, find_image, is_url, take_value
from vapo.data.options import MAX_PIXELS
from vapo.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np

PILLOW_MAX_PIXELS = 2 * 89_478_485
"""Above this, Pillow itself refuses to open an image."""
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF", "ICO")

_OPENED_HERE = tuple(name for name in FORMATS if name not in confined_decoding.FORMATS)
_MAX_FILE_BYTES = 2**30
_MAX_SCANS = 100  # of a JPEG, each of which takes as long as the whole image; encoders make about ten
_MAX_TILE_PIXELS = 2**24  # of a TIFF's tile that is larger than its image: an encoder may have one size for all
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_DEPTHS = (8, 12, 16)  # bits of the grey that cameras and scanners write
_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)


@dataclass(frozen=True, slots=True)
class ImagePolicy:
    """What may be opened: from where, and how large (`max_pixels` = width x height)."""

    allow_urls: bool = False
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        if not 0 < self.max_pixels <= PILLOW_MAX_PIXELS:
            raise ConfigError(f"max_pixels is {self.max_pixels}; it must be between 1 and {PILLOW_MAX_PIXELS}")


def open_image(value: object, folder: Folder | None, policy: ImagePolicy) -> Image.Image:
    """Open an image, decode it, turn it upright as its EXIF orientation says, and convert it to RGB.

    What is transparent becomes white. Grey of more than 8 bits is scaled by the range that it uses: of 8, 12 or 16
    bits, or of as many as its greatest value has; where it has values below 0, the least of them becomes black.
    Floating-point grey from 0 to 1 is black to white; where it has greater values, the greatest becomes white. Of an
    animation, the first frame is taken.

    Args:
        value: a PIL image, encoded bytes, bytes in base64, a path, URL or data URL, or a dict of `bytes`, `path` or
            `url`.
        folder: where paths lead; None refuses them.
        policy: what may be opened.

    Raises:
        DataError: the image is null, truncated, too large, not an image, or not where it may be.
    """
    image = _open_lazily(value, folder, policy)
    with nullcontext() if image is value else image:
        _load(image)
        try:
            return _convert(ImageOps.exif_transpose(image))
        except DataError:
            raise
        except Exception as error:  # Pillow raises nearly anything on broken EXIF and odd modes
            raise DataError(f"image cannot be converted to RGB: {_say(error)}") from error


def read_image(value: object, folder: Folder | None, policy: ImagePolicy) -> bytes:
    """Return an image as an encoded file: its own bytes where it has any, and PNG where it is a PIL image.

    Args:
        value, folder, policy: as for `open_image`.

    Raises:
        DataError: it is null, not where it may be, larger than 1 GiB, or cannot be read.
    """
    if isinstance(value, Image.Image):
        image = value if value.mode in confined_decoding.PNG_MODES else open_image(value, folder, policy)
        stream = io.BytesIO()
        image.save(stream, "PNG")
        return stream.getvalue()
    return _read(_locate(value, folder, policy))


def measure_image(value: object, folder: Folder | None, policy: ImagePolicy) -> tuple[int, int]:
    """Check that an image can be decoded to its last byte, and tell its upright size; nothing is kept.

    A JPEG is decoded at an eighth of its size, which reads all of its data at about a third of the cost.

    Args:
        value: as for `open_image`.
        folder: where paths lead; None refuses them.
        policy: what may be opened.

    Returns:
        (width, height) in pixels.

    Raises:
        DataError: as for `open_image`.
    """
    image = _open_lazily(value, folder, policy)
    with nullcontext() if image is value else image:
        width, height = image.size
        sideways = _read_orientation(image) in _SIDEWAYS
        if image is not value:  # `draft` changes the image itself, and this one may be the caller's
            image.draft("RGB", (max(1, width // 8), max(1, height // 8)))
        _load(image)
        if image.mode == "F":
            _scale_floats(image)
    return (height, width) if sideways else (width, height)


def is_shown(image: Image.Image) -> bool:
    """Return whether an image is as `open_image` shows it: in RGB, opaque and upright."""
    return image.mode == "RGB" and "transparency" not in image.info and _read_orientation(image) in (None, 0, 1)


def read_size(value: object, folder: Folder | None, policy: ImagePolicy) -> tuple[int, int] | None:
    """Tell the size of an image as its file states it, not turned upright, without decoding it.

    Args:
        value, folder, policy: as for `open_image`.

    Returns:
        (width, height) in pixels; None of a web address, and of what is no file, such as an array.

    Raises:
        DataError: it is null, too large, not an image, or not where it may be.
    """
    held = take_value(value)
    is_address = isinstance(held, str) and is_url(held)
    if is_address or not isinstance(held, Image.Image | bytes | str | Path | None):
        return None
    image = _open_lazily(held, folder, policy)
    with nullcontext() if image is value else image:
        return image.size


def is_stored_as_shown(content: bytes, shown: Image.Image, policy: ImagePolicy) -> bool:
    """Return whether readers that neither turn an image upright nor lay it on white see the same image in its file.

    Args:
        content: the encoded image.
        shown: the same as `open_image` returned it.
        policy: what may be opened.

    Raises:
        DataError: as for `open_image`.
    """
    if confined_decoding.is_confined(content):
        return False  # a reader without its bounds need not open it at all
    with _open_lazily(content, None, policy) as image:
        _load(image)
        return image.size == shown.size and image.convert("RGB").tobytes() == shown.tobytes()


def _open_lazily(value: object, folder: Folder | None, policy: ImagePolicy) -> Image.Image:
    image = value if isinstance(value, Image.Image) else _open_encoded(_locate(value, folder, policy), policy)
    try:
        _check_size(image.size, policy)
        _check_tiles(image)
    except DataError:
        if image is not value:
            image.close()
        raise
    return image


def _check_size(size: tuple[int, int], policy: ImagePolicy) -> None:
    width, height = size
    if width * height > policy.max_pixels:
        raise DataError(
            f"image is {width} x {height} = {width * height} pixels, more than the {policy.max_pixels} allowed "
            "(a decompression bomb?); shrink it or raise max_pixels"
        )
    if width * height == 0:
        raise DataError(f"image is {width} x {height}: it has no pixels")


def _locate(value: object, folder: Folder | None, policy: ImagePolicy) -> bytes | Path:
    value = take_value(value)
    if value is None:
        raise DataError("image is null")
    if isinstance(value, bytes | bytearray):
        if not value:
            raise DataError("image has no bytes")
        return bytes(value)
    if isinstance(value, str | Path):
        if not str(value):
            raise DataError("image path is empty")
        if is_url(str(value)):
            return download_image(str(value), policy.allow_urls)
        return find_image(str(value), folder)
    raise DataError(f"image is a {type(value).__name__}; give a PIL image, bytes, or a path")


def _read(content: bytes | Path) -> bytes:
    if isinstance(content, bytes):
        return content
    try:
        with content.open("rb") as file:
            read = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise DataError(f"image {str(content)!r} cannot be read: {error.strerror or error}") from error
    if len(read) > _MAX_FILE_BYTES:
        raise DataError(f"image {str(content)!r} has more than {_MAX_FILE_BYTES // 2**20} MiB; shrink it")
    return read


def _open_encoded(content: bytes | Path, policy: ImagePolicy) -> Image.Image:
    name = f"image {content.name!r}" if isinstance(content, Path) else "image"
    content = _read(content)
    if confined_decoding.is_confined(content):
        try:
            content = confined_decoding.recode(content, policy.max_pixels)
        except confined_decoding.TooLargeError as error:
            _check_size(error.size, policy)
        except confined_decoding.BrokenError as error:
            raise DataError(f"{name} is truncated or broken: {error}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # max_pixels decides, not Pillow
            image = Image.open(io.BytesIO(content), formats=_known_formats())
    except Image.DecompressionBombError as error:
        raise DataError(f"{name} is a decompression bomb: {error}") from error
    except Image.UnidentifiedImageError as error:
        raise DataError(f"{name} is not an image, or not one of {', '.join(FORMATS)}") from error
    except Exception as error:  # Pillow's readers raise nearly anything on a broken header
        raise DataError(f"{name} cannot be opened: {_say(error)}") from error
    if image.format in ("JPEG", "MPO") and content.count(b"\xff\xda") > _MAX_SCANS:
        raise DataError(f"{name} is a JPEG with more than {_MAX_SCANS} scans (a decompression bomb?); save it anew")
    return image


def _check_tiles(image: Image.Image) -> None:
    """Refuse a TIFF whose tiles are far larger than itself: they are decoded whole."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        width, height = (image.tag_v2.get(tag, 1) for tag in (_TILE_WIDTH, _TILE_HEIGHT))
        if width * height > max(image.width * image.height, _MAX_TILE_PIXELS):
            raise DataError(
                f"image is {image.width} x {image.height} in tiles of {width} x {height} pixels (a decompression "
                "bomb?); save it anew, without tiles"
            )


def _known_formats() -> list[str]:
    Image.init()
    return [name for name in _OPENED_HERE if name in Image.OPEN]


def _load(image: Image.Image) -> None:
    try:
        image.load()
    except Exception as error:  # Pillow's decoders raise nearly anything on broken data
        raise DataError(f"image is truncated or broken: {_say(error)}") from error


def _read_orientation(image: Image.Image) -> int | None:
    try:
        return image.getexif().get(_ORIENTATION)
    except Exception as error:  # as above
        raise DataError(f"image has broken EXIF data: {_say(error)}") from error


def _convert(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        return Image.fromarray(_scale_floats(image)).convert("RGB")
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _convert_deep(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB") if image.mode != "RGB" else image.copy()


def _convert_deep(image: Image.Image) -> Image.Image:
    import numpy as np

    grey = np.asarray(image).astype(np.int64)
    grey -= min(0, int(grey.min()))
    needed = int(grey.max()).bit_length()
    bits = next((depth for depth in _DEPTHS if depth >= needed), needed)
    return Image.fromarray((grey >> bits - 8).astype(np.uint8)).convert("RGB")


def _scale_floats(image: Image.Image) -> np.ndarray[Any, Any]:
    import numpy as np

    grey = np.asarray(image).astype(np.float64)
    if not np.isfinite(grey).all():
        raise DataError("image has pixels that are NaN or infinite; save it without them")
    grey -= min(0.0, float(grey.min()))
    return np.round(grey * (255 / max(1.0, float(grey.max())))).astype(np.uint8)


def _say(error: Exception) -> str:
    return str(error) or type(error).__name__
