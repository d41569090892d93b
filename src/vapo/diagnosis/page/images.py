"""Images small enough to travel inside the page."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from io import BytesIO

from PIL import Image, features

_STEPS = ((512, 80), (448, 70), (384, 70), (320, 65), (256, 60), (192, 55), (128, 50), (96, 40), (64, 30))
_SMALL = 160  # pixels; an image of so few is kept exactly, because each of them can be seen
_LARGEST = 60_000  # bytes of one image, however much room there is


class ImageSheet:
    """Images as data URIs, each once, within a budget of bytes that those still to come share evenly.

    Attributes:
        uris: what the page gets.
        num_left_out: images for which there was no room.
    """

    def __init__(self, max_bytes: int, num_expected: int) -> None:
        """`num_expected` is how many images will be added, about."""
        self._left = max_bytes
        self._expected = num_expected
        self._places: dict[bytes, int | None] = {}
        self._step = 0  # images of a data set are much alike: the next is tried near where the last one fitted
        self.uris: list[str] = []
        self.num_left_out = 0

    def add(self, image: Image.Image) -> int | None:
        """Return the image's place in `uris`, or None if there is no room for it even at its smallest."""
        plain = _flatten(image)
        key = sha256(f"{plain.size}".encode() + plain.tobytes()).digest()
        if key not in self._places:
            allowance = min(_LARGEST, self._left // max(1, self._expected))
            uri, self._step = shrink_image(plain, allowance, max(0, self._step - 1))
            self._places[key] = None if uri is None else len(self.uris)
            if uri is not None:
                self._left -= len(uri) + 3  # its quotes and comma
                self.uris.append(uri)
        self._expected -= 1
        place = self._places[key]
        self.num_left_out += place is None
        return place


def shrink_image(image: Image.Image, max_bytes: int, first_step: int = 0) -> tuple[str | None, int]:
    """Return a data URI of at most `max_bytes`, as large and as good as fits, or None, and the step it took.

    Steps go from large to small, and those before `first_step` are not tried.
    """
    side = max(image.size)
    plain = _flatten(image)
    if side <= _SMALL:
        uri = _encode(plain, None)
        if len(uri) <= max_bytes:
            return uri, first_step
    for step, (max_side, quality) in enumerate(_STEPS):
        if step >= first_step and max_side < 2 * side:  # a larger step would be this image once more
            shrunk = plain.copy()
            shrunk.thumbnail((max_side, max_side))
            uri = _encode(shrunk, quality)
            if len(uri) <= max_bytes:
                return uri, step
    return None, len(_STEPS) - 1


def _encode(image: Image.Image, quality: int | None) -> str:
    stream = BytesIO()
    if not features.check("webp"):
        (image if quality is None else image.quantize(64)).save(stream, "PNG", optimize=True)
        return f"data:image/png;base64,{b64encode(stream.getvalue()).decode()}"
    if quality is None:
        image.save(stream, "WEBP", lossless=True)
    else:
        image.save(stream, "WEBP", quality=quality, method=4)
    return f"data:image/webp;base64,{b64encode(stream.getvalue()).decode()}"


def _flatten(image: Image.Image) -> Image.Image:
    """Return it in RGB, on white where it is transparent."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _scale_levels(image).convert("RGB")
    if image.has_transparency_data:
        layers = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(layers, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _scale_levels(image: Image.Image) -> Image.Image:
    """Spread the levels of an image of more than 8 bits over 0 to 255; clipping would show it white."""
    levels = image.convert("F")
    low, high = levels.getextrema()
    span = max(float(high) - float(low), 1e-9)  # type: ignore[arg-type]
    return levels.point(lambda level: level * (255 / span) - float(low) * (255 / span)).convert("L")  # type: ignore[arg-type]
