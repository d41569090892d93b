from __future__ import annotations

import base64
import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile, features

from vapo.data.image_files import Folder
from vapo.data.images import (
    FORMATS,
    PILLOW_MAX_PIXELS,
    ImagePolicy,
    is_stored_as_shown,
    measure_image,
    open_image,
    read_image,
    read_size,
)
from vapo.errors import ConfigError, DataError

POLICY = ImagePolicy()


def encode(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def open_bytes(content: bytes) -> Image.Image:
    return open_image(content, None, POLICY)


def test_every_form_gives_the_same_image(photo: Image.Image, png: bytes, tmp_path: Path) -> None:
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
        opened = open_image(form, folder, POLICY)
        assert opened.mode == "RGB"
        assert opened.tobytes() == photo.tobytes()
        assert measure_image(form, folder, POLICY) == (96, 64)


def test_the_callers_image_is_neither_changed_nor_handed_back(jpeg: bytes) -> None:
    with Image.open(io.BytesIO(jpeg)) as image:
        assert measure_image(image, None, POLICY) == (96, 64)
        opened = open_image(image, None, POLICY)
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
    assert opened.size == measure_image(content, None, POLICY) == expected
    if orientation == 6:  # the camera was turned: the stored image has to be turned clockwise
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


@pytest.mark.parametrize(
    ("levels", "shown"),
    [
        ([0, 200, 255], [0, 200, 255]),
        ([0, 2048, 4095], [0, 128, 255]),
        ([0, 0x8000, 0xFFFF], [0, 128, 255]),
        ([0, 70_000, 2**17 - 1], [0, 136, 255]),
        ([0, 2**30, 2**31 - 1], [0, 128, 255]),
        ([-1024, 1024, 3071], [0, 128, 255]),
        ([-(2**31), 0, 2**31 - 1], [0, 128, 255]),
    ],
)
def test_deep_pixels_are_scaled_by_their_range(levels: list[int], shown: list[int]) -> None:
    image = Image.fromarray(np.array([levels], dtype=np.int32))
    content = encode(image, "TIFF")
    assert measure_image(content, None, POLICY) == (3, 1)
    for value in (content, image):
        opened = open_image(value, None, POLICY)
        assert [opened.getpixel((x, 0)) for x in range(3)] == [(level,) * 3 for level in shown]


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "AVIF", "JPEG2000"])
def test_base64_and_data_urls_are_images(photo: Image.Image, format: str) -> None:
    if format == "AVIF" and not features.check("avif"):
        pytest.skip("Pillow has no AVIF")
    content = encode(photo, format)
    expected, text = open_bytes(content).tobytes(), base64.b64encode(content).decode()
    url = f"data:image/{format.lower()};base64,{text}"
    forms: list[object] = [
        text,
        base64.encodebytes(content).decode(),
        base64.urlsafe_b64encode(content).decode().rstrip("="),
        url,
        url.replace("data:", "DATA:"),
        {"path": None, "url": url},
        {"type": "image_url", "image_url": {"url": url}},
        {"image_url": url},
    ]
    for form in forms:
        assert open_image(form, None, POLICY).tobytes() == expected
        assert measure_image(form, None, POLICY) == photo.size


def test_a_path_that_could_be_base64_is_a_path(png: bytes, tmp_path: Path) -> None:
    name = "0123456789abcdef" * 4  # as files are called by their digests
    (tmp_path / name).write_bytes(png)
    assert open_image(name, Folder(tmp_path, tmp_path), POLICY).size == (96, 64)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("A" * 400_000, "of 400000 characters .if it is to be base64, it is that of no image"),
        ("data:image/png,abc", "is a data URL without base64"),
        ("data:image/png;base64,@@", "is a data URL whose base64 is broken"),
        ("data:image/png;base64,QUJD", "is not an image"),
        ({"url": "https://example.org/a.png"}, "is a URL; download it"),
        ({"url": None}, "image is null"),
    ],
)
def test_text_that_is_no_image_is_refused_in_a_short_sentence(value: object, message: str, tmp_path: Path) -> None:
    for folder in (None, Folder(tmp_path, tmp_path)):
        with pytest.raises(DataError, match=message) as raised:
            open_image(value, folder, POLICY)
        assert len(str(raised.value)) < 600


def test_cmyk_keeps_its_colour() -> None:
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    pixel = open_bytes(encode(red, "JPEG", quality=95)).getpixel((8, 8))
    assert isinstance(pixel, tuple)
    assert pixel[0] > 240 > 15 > max(pixel[1:])


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ((0.0, 0.2, 0.6, 1.0), (0, 51, 153, 255)),  # from black to white
        ((0.2, 0.4, 0.4, 0.6), (51, 102, 102, 153)),  # is not stretched
        ((0.0, 2.0, 5.0, 10.0), (0, 51, 128, 255)),  # a depth in metres
        ((0.0, 51.0, 204.0, 255.0), (0, 51, 204, 255)),
        ((-1.0, -0.2, 0.6, 1.0), (0, 102, 204, 255)),
        ((-3.0, -3.0, -3.0, -3.0), (0, 0, 0, 0)),
        ((1e-30, 3e38, 0.0, 0.0), (0, 255, 0, 0)),
    ],
)
def test_floating_point_grey_is_scaled_by_its_real_range(stored: tuple[float, ...], shown: tuple[int, ...]) -> None:
    image = Image.fromarray(np.array(stored, np.float32).reshape(2, 2))
    content = encode(image, "TIFF")
    assert measure_image(content, None, POLICY) == (2, 2)
    kept = Image.open(io.BytesIO(read_image(image, None, POLICY)))
    for opened in (open_bytes(content), open_image(image, None, POLICY), kept):
        assert opened.mode == "RGB" and tuple(np.asarray(opened)[:, :, 0].flat) == shown


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf")])
def test_pixels_that_are_no_numbers_are_refused(odd: float) -> None:
    content = encode(Image.new("F", (4, 4), odd), "TIFF")
    for look in (open_image, measure_image):
        with pytest.raises(DataError, match="pixels that are NaN or infinite"):
            look(content, None, POLICY)


def test_a_size_is_read_without_decoding(photo: Image.Image, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    content = encode(photo, "JPEG")
    (tmp_path / "a.jpg").write_bytes(content)
    folder = Folder(tmp_path, tmp_path)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("an image was decoded"))
    for value in (content[:700], {"bytes": content, "path": None}, "a.jpg", photo):
        assert read_size(value, folder, POLICY) == photo.size
    assert read_size("https://example.org/a.png", folder, POLICY) is None
    assert read_size([[1, 2], [3, 4]], folder, POLICY) is None
    for value in (None, b"not an image", "b.jpg"):
        with pytest.raises(DataError, match="image"):
            read_size(value, folder, POLICY)


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB", "HSV", "F"])
def test_an_image_of_any_mode_is_kept_as_a_file(mode: str) -> None:
    image = Image.new(mode, (4, 4))
    kept = Image.open(io.BytesIO(read_image(image, None, POLICY)))
    assert kept.tobytes() == open_image(image, None, POLICY).tobytes()


def test_the_first_frame_of_an_animation_is_taken(photo: Image.Image) -> None:
    frames = [photo.quantize(), Image.new("P", photo.size)]
    content = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert open_bytes(content).getpixel((48, 32)) == photo.quantize().convert("RGB").getpixel((48, 32))


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.99])
@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "TIFF"])
def test_a_truncated_image_is_refused_at_the_check(photo: Image.Image, format: str, kept: float) -> None:
    content = encode(photo, format)
    cut = content[: int(len(content) * kept)]
    for look in (open_image, measure_image):
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
    for look in (open_image, measure_image):
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
    for look in (open_image, measure_image):
        with pytest.raises(DataError, match="decompression bomb"):
            look(make_bomb(side, side), None, POLICY)


def test_the_limit_can_be_moved(png: bytes) -> None:
    with pytest.raises(DataError, match=r"96 x 64 = 6144 pixels, more than the 6143 allowed .* raise max_pixels"):
        open_image(png, None, ImagePolicy(max_pixels=6143))
    assert open_image(png, None, ImagePolicy(max_pixels=6144)).size == (96, 64)


@pytest.mark.parametrize("max_pixels", [0, -1, PILLOW_MAX_PIXELS + 1])
def test_an_impossible_limit_is_refused(max_pixels: int) -> None:
    with pytest.raises(ConfigError, match="max_pixels"):
        ImagePolicy(max_pixels=max_pixels)


def make_tiled_tiff(side: int, tile: int) -> bytes:
    """Write a TIFF of one tile, deflated, that is larger than the image."""
    content = zlib.compress(bytes(3 * tile * tile), 9)
    tags = {
        256: side,
        257: side,
        258: 8,
        259: 8,
        262: 2,
        277: 3,
        284: 1,
        322: tile,
        323: tile,
        324: 0,
        325: len(content),
    }
    tags[324] = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + content


def test_a_tiff_in_tiles_far_larger_than_itself_is_refused(tmp_path: Path) -> None:
    content = make_tiled_tiff(64, 5000)
    assert len(content) < 100_000
    for look in (open_image, measure_image):
        with pytest.raises(DataError, match=r"64 x 64 in tiles of 5000 x 5000 pixels .*save it anew, without tiles"):
            look(content, None, POLICY)
    assert open_bytes(make_tiled_tiff(64, 256)).size == (64, 64)


def test_a_jpeg_of_many_scans_is_refused(photo: Image.Image) -> None:
    content = encode(photo, "JPEG", progressive=True)
    last = content[content.rindex(b"\xff\xda") : -2]
    for look in (open_image, measure_image):
        with pytest.raises(DataError, match="more than 100 scans"):
            look(content[:-2] + 100 * last + content[-2:], None, POLICY)
        look(content, None, POLICY)


def make_icon(content: bytes) -> bytes:
    """Write an ICO that says it is 16 x 16 and holds a PNG."""
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(content), 22) + content


def test_an_icon_is_as_large_as_what_it_holds(photo: Image.Image) -> None:
    for look in (open_image, measure_image):
        with pytest.raises(DataError, match="96 x 64 = 6144 pixels, more than the 6143 allowed"):
            look(make_icon(encode(photo)), None, ImagePolicy(max_pixels=6143))
        with pytest.raises(DataError, match=r"truncated or broken: .*more memory .*decompression bomb"):
            look(make_icon(make_bomb(12_000, 12_000)), None, POLICY)


BOMBS = {
    # 64 x 64 by its own word, with 8000 x 8000 coded pixels
    "avif": (
        b"c-muNU{FXasVqn=%S>Yc0uY^>nP!-qnV9D5Xy^nKdYzkElE?r7iWw<6MNl?FL1uCZ0~+8f$SlbPvlxL`E;A=T8N_h`@fjhaj"
        b"KT~IOuv9^jm*rvG`LzRASaax%1bOWFm%q($p_n&m03_!0HnP$3zGAJv`A)gK`PWf2PhUO$gIc&2{3bTZ~!Tu#4<zYMtL5PkZ"
        b"^K-PElTRP6g0pUIw-XppbZGK`zWsK!>p~GBvXR^)ltAB$fy<aB<6jwyXdAt%D=OM8W6<tAxw(_O?_e4uyG+K=qO5&jqg4d?I"
        b"!0Xo6zA!J8Fl3N+77Sg7gsUz3fmWsy}@^97Cv&gQ8C+D#GXHlICx>e~$4584h!X7k=&E}p~VUu3c7&ciyx>4#EYPf6knTCM&"
        b"u_Ct%A_&K(<@gmXZ&qb6oeSTgS;y&ZLqs8583pZ+6w=Vy<;r_zdv{?pC|Kgsr#=hBT^=w9X_C1{hj?Z%r3Cp#;mVIxh>$3m4"
        b"s%0;S?}6jD(~|XDPF~kIBC|Bi|IzM;969=Pc%$}d(A4m7VhsN)VY_e7^xJ6xe}y=|)wTF63OKF&qgUX{bgr~{Em;fsCBKXBN"
        b"#K50v@tZ>s&~4I@Rw%!B~i3<_1>XsHjTpC0RW+irmO"
    ),
    # 3000 x 3000 in blocks of 4 x 4
    "jp2": (
        b"c-muNVBpCLP*C9IYUg5LU=T?wsVvAUFj4@r8KAT-kj?<oVwo8!MGOqwJHVKcogJixfj>Dvr-%{E6l7rF`v6p&{NMk7AcH1I2"
        b"&xzk(D;n(jEw(-7<fQT238RHKZZfr!NJ2L02%#HVNhjYbS_FwEJ;mKNUBuuFG$Vv3UGB-C`&CW&dkqKFw!&CGx<M(0pte;zI"
        b">oLlmGoMVEM-|{{x8l!)V{24krF5a02NEAmRs8J%c}(z@}0j%sn6sRsdGtpiY#KJi;=P3Gyxd&j1wt?*J0}fX&-@rH7hdvBn"
        b"|Ta|cj;h|SyeWLOCnLNb?Rf_zJfjYIWe;8zkN7K=)Ik}ZS^Az4N;LB6G67MQ^5!$BFb{684~Gsu5nCXvk~7~nadc36DW_)+6"
        b"WjUP3B)c8^3M~xpf9=Guv6V_7$HGshXn*glaX6y"
    ),
}


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize(("kind", "megabytes"), [("avif", 40), ("jp2", 120)])
def test_what_a_decoder_takes_is_not_taken_here(kind: str, megabytes: int, tmp_path: Path) -> None:
    if kind == "avif" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    (tmp_path / "bomb").write_bytes(zlib.decompress(base64.b85decode(BOMBS[kind])))
    code = (
        "from pathlib import Path\n"
        "from vapo.data.images import ImagePolicy, measure_image\n"
        "def peak(): return int(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])\n"
        "content, before = Path('bomb').read_bytes(), peak()\n"
        "measure_image(content, None, ImagePolicy())\n"
        "print((peak() - before) // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert int(done.stdout) < megabytes


@pytest.mark.parametrize("format", [name for name in FORMATS if name != "MPO"])
def test_every_format_is_read(photo: Image.Image, format: str) -> None:
    Image.init()
    if format not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {format}")
    image = photo.quantize() if format == "GIF" else photo
    options = {"lossless": True} if format == "WEBP" else {"sizes": [photo.size]} if format == "ICO" else {}
    content = encode(image, format, **options)
    opened = open_bytes(content)
    assert opened.size == measure_image(content, None, POLICY) == photo.size
    if format not in ("JPEG", "AVIF"):
        assert opened.tobytes() == image.convert("RGB").tobytes()
    for kept in (0.5, 0.9):
        with pytest.raises(DataError, match="image"):
            measure_image(content[: int(len(content) * kept)], None, POLICY)


@pytest.mark.parametrize("format", ["JPEG2000", "AVIF"])
def test_formats_read_elsewhere_turn_and_blend_alike(photo: Image.Image, format: str) -> None:
    if format == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    layer = Image.new("RGBA", (40, 30), (255, 0, 0, 0))
    assert open_bytes(encode(layer, format)).getpixel((20, 15)) == (255, 255, 255)
    if format == "AVIF":
        exif = Image.Exif()
        exif[0x0112] = 6
        content = encode(photo, format, exif=exif)
        assert open_bytes(content).size == measure_image(content, None, POLICY) == (64, 96)


def test_an_endless_file_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(DataError, match=r"a\.png' has more than 1024 MiB"):
        open_image("a.png", Folder(tmp_path, tmp_path), POLICY)


def test_a_file_that_shows_another_image_than_is_meant_is_told(photo: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    for content, same in ((encode(photo), True), (encode(photo, exif=exif), False), (make_icon(encode(photo)), False)):
        assert is_stored_as_shown(content, open_bytes(content), POLICY) is same
