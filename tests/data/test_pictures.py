from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vapo.data.picture_files import Folder
from vapo.data.pictures import PILLOW_MAX_PIXELS, PicturePolicy, measure_picture, open_picture
from vapo.errors import ConfigError, DataError

POLICY = PicturePolicy()


def encode(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def open_bytes(content: bytes) -> Image.Image:
    return open_picture(content, None, POLICY)


def test_every_form_gives_the_same_picture(photo: Image.Image, png: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png)
    folder = Folder(tmp_path, tmp_path)
    forms: list[object] = [
        photo,
        png,
        bytearray(png),
        {"bytes": png, "path": "anything"},
        {"bytes": None, "path": "a.png"},
        {"path": "a.png"},
        "a.png",
        tmp_path / "a.png",
    ]
    for form in forms:
        opened = open_picture(form, folder, POLICY)
        assert opened.mode == "RGB"
        assert opened.tobytes() == photo.tobytes()
        assert measure_picture(form, folder, POLICY) == (96, 64)


def test_the_callers_image_is_neither_changed_nor_handed_back(jpeg: bytes) -> None:
    with Image.open(io.BytesIO(jpeg)) as image:
        assert measure_picture(image, None, POLICY) == (96, 64)
        opened = open_picture(image, None, POLICY)
        assert opened is not image
        assert image.size == (96, 64)
        image.getpixel((0, 0))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(photo: Image.Image, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encode(photo, exif=exif)
    expected = (96, 64) if orientation < 5 else (64, 96)
    opened = open_bytes(content)
    assert opened.size == measure_picture(content, None, POLICY) == expected
    if orientation == 6:  # the camera was turned: the stored picture has to be turned clockwise
        assert opened.tobytes() == photo.transpose(Image.Transpose.ROTATE_270).tobytes()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16", "YCbCr"])
def test_every_mode_becomes_rgb(photo: Image.Image, mode: str) -> None:
    image = photo.convert("I").convert("I;16") if mode == "I;16" else photo.convert(mode)
    format = {"CMYK": "JPEG", "YCbCr": "JPEG"}.get(mode, "PNG")
    opened = open_bytes(encode(image, format))
    assert opened.mode == "RGB"
    assert opened.size == photo.size


def test_transparent_is_white() -> None:
    layer = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    layer.putpixel((1, 1), (255, 0, 0, 255))
    for image in (layer, layer.quantize()):
        opened = open_bytes(encode(image))
        assert opened.getpixel((0, 0)) == (255, 255, 255)
        assert opened.getpixel((1, 1)) == (255, 0, 0)


def test_sixteen_bit_grey_keeps_its_brightness() -> None:
    deep = Image.fromarray(np.array([[0, 0x80FF, 0xFFFF]], dtype=np.uint16))
    opened = open_bytes(encode(deep))
    assert [opened.getpixel((x, 0)) for x in range(3)] == [(0, 0, 0), (128, 128, 128), (255, 255, 255)]


def test_cmyk_keeps_its_colour() -> None:
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    pixel = open_bytes(encode(red, "JPEG", quality=95)).getpixel((8, 8))
    assert isinstance(pixel, tuple)
    assert pixel[0] > 240 > 15 > max(pixel[1:])


def test_floating_point_pixels_are_refused() -> None:
    content = encode(Image.new("F", (4, 4), 0.5), "TIFF")
    for look in (open_picture, measure_picture):
        with pytest.raises(DataError, match="floating-point pixels"):
            look(content, None, POLICY)


def test_the_first_frame_of_an_animation_is_taken(photo: Image.Image) -> None:
    frames = [photo.quantize(), Image.new("P", photo.size)]
    content = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert open_bytes(content).getpixel((48, 32)) == photo.quantize().convert("RGB").getpixel((48, 32))


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.99])
@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "TIFF"])
def test_a_truncated_image_is_refused_at_the_check(photo: Image.Image, format: str, kept: float) -> None:
    content = encode(photo, format)
    cut = content[: int(len(content) * kept)]
    for look in (open_picture, measure_picture):
        with pytest.raises(DataError, match="image"):
            look(cut, None, POLICY)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "image is null"),
        ({"bytes": None, "path": None}, "image is null"),
        (b"", "image has no bytes"),
        ({"bytes": b"", "path": "x"}, "image has no bytes"),
        ("", "image path is empty"),
        (b"not an image", "is not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not an image"),
        (5, "image is a int"),
        ("https://example.org/a.png", "is a URL"),
        ({"path": "https://example.org/a.png"}, "is a URL"),
    ],
)
def test_what_is_no_image_is_refused(value: object, message: str) -> None:
    for look in (open_picture, measure_picture):
        with pytest.raises(DataError, match=message):
            look(value, None, POLICY)


def make_bomb(width: int, height: int) -> bytes:
    """Write a PNG of a few hundred bytes whose header promises many pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 100_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8_000, 10_000, 14_000, 60_000])  # above ours; above Pillow's warning; its error
def test_a_decompression_bomb_is_refused_before_it_is_decoded(side: int) -> None:
    for look in (open_picture, measure_picture):
        with pytest.raises(DataError, match="decompression bomb"):
            look(make_bomb(side, side), None, POLICY)


def test_the_limit_can_be_moved(png: bytes) -> None:
    with pytest.raises(DataError, match=r"96 x 64 = 6144 pixels, more than the 6143 allowed .* raise max_pixels"):
        open_picture(png, None, PicturePolicy(max_pixels=6143))
    assert open_picture(png, None, PicturePolicy(max_pixels=6144)).size == (96, 64)


@pytest.mark.parametrize("max_pixels", [0, -1, PILLOW_MAX_PIXELS + 1])
def test_an_impossible_limit_is_refused(max_pixels: int) -> None:
    with pytest.raises(ConfigError, match="max_pixels"):
        PicturePolicy(max_pixels=max_pixels)
