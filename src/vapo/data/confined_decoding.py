"""Decode an image in a process of its own, with bounded memory and time.

What a JPEG 2000, AVIF or ICO file says of its size in the beginning binds nothing that follows: a few hundred bytes
make their decoders take gigabytes. Pillow decodes an ICO while it opens it. The other formats keep to their headers.

This file is run as a program too, by the interpreter that imported it; it must import nothing of vapo.
"""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from pathlib import Path

FORMATS = ("JPEG2000", "AVIF", "ICO")
_BEGINNINGS = (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xffO\xffQ", b"\0\0\1\0")
_BYTES = 256 * 2**20
_BYTES_PER_PIXEL = 36  # an honest JPEG 2000 with four channels takes 27, and 4 to be turned upright
_SECONDS = 120  # of the processor
_TOO_LARGE = 3
PNG_MODES = ("1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA")

_one_at_a_time = threading.Lock()  # so that eight threads do not take eight times the memory


class TooLargeError(Exception):
    """The image has more pixels than it may. `size` is its (width, height)."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__(size)
        self.size = size


class BrokenError(Exception):
    """The image cannot be decoded, or not within its bounds; the message says why."""


def is_confined(content: bytes) -> bool:
    """Return whether an encoded image has one of the formats that are decoded in a process of their own."""
    return content.startswith(_BEGINNINGS) or content[4:8] == b"ftyp"


def recode(content: bytes, max_pixels: int) -> bytes:
    """Return an image of such a format as a PNG, turned upright as its EXIF orientation says.

    Args:
        content: the encoded image.
        max_pixels: width x height that it may have at most.

    Raises:
        TooLargeError: it has more.
        BrokenError: it cannot be decoded, or takes more memory or time than an image of its size needs.
    """
    with _one_at_a_time:
        # Without the folder of this file among those that modules are looked for in.
        done = subprocess.run(
            [sys.executable, "-P", "-W", "ignore", str(Path(__file__)), str(max_pixels)],
            input=content,
            capture_output=True,
        )
    said = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    if done.returncode == _TOO_LARGE:
        width, height = said.split()
        raise TooLargeError((int(width), int(height)))
    if done.returncode != 0:
        raise BrokenError(said or "decoding it takes more memory or time than its size does (a decompression bomb?)")
    return done.stdout


def _decode(max_pixels: int) -> int:
    from PIL import Image, ImageOps

    Image.init()
    Image.MAX_IMAGE_PIXELS = None  # `max_pixels` decides
    if "AVIF" in Image.OPEN:
        vars(sys.modules["PIL.AvifImagePlugin"])["DEFAULT_MAX_THREADS"] = 1  # each would ask for memory of its own
    _limit(_BYTES)
    known = [name for name in FORMATS if name in Image.OPEN]
    try:
        with Image.open(io.BytesIO(sys.stdin.buffer.read()), formats=known) as image:
            if image.width * image.height > max_pixels:
                print(*image.size, file=sys.stderr)
                return _TOO_LARGE
            _limit(_BYTES + _BYTES_PER_PIXEL * image.width * image.height)
            image.load()
            upright = ImageOps.exif_transpose(image)
            kept = upright if upright.mode in PNG_MODES else upright.convert("RGB")
            kept.save(sys.stdout.buffer, "PNG", compress_level=0)
    except MemoryError:
        return 1
    except Exception as error:  # Pillow's readers and decoders raise nearly anything
        print(" ".join(str(error).split()) or type(error).__name__, file=sys.stderr)
        return 1
    return 0


def _limit(num_bytes: int) -> None:
    if sys.platform == "linux":
        import resource

        for kind, bound in ((resource.RLIMIT_AS, num_bytes), (resource.RLIMIT_CPU, _SECONDS)):
            most = resource.getrlimit(kind)[1]  # which this user may have been given
            resource.setrlimit(kind, (bound if most == resource.RLIM_INFINITY else min(bound, most), most))


if __name__ == "__main__":
    sys.exit(_decode(int(sys.argv[1])))
