"""Images of rows that did not come from `load_samples` are opened as those of every data set are."""

from __future__ import annotations

import io

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image

from vapo.data.images import ImagePolicy, open_image
from vapo.data.refused_sizes import SizeCheck
from vapo.errors import DataError
from vapo.training.rows import open_images

ANY_SIZE = SizeCheck()
CLEAR = Image.new("RGBA", (8, 6), (9, 9, 9, 0))
DEEP = Image.fromarray(np.full((6, 8), 0xFFFF, np.uint16))
FLOATS = Image.new("F", (8, 6), 7.5)
MARKED = Image.new("RGB", (8, 6), (1, 2, 3))
MARKED.info["transparency"] = (1, 2, 3)
WHITE = (255, 255, 255)


def encode(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("image", [CLEAR, DEEP, FLOATS, MARKED, encode(CLEAR), {"bytes": encode(CLEAR), "path": None}])
def test_images_are_shown_as_data_sets_show_them(image):
    for row in ({"images": [image, None]}, {"image": image, "id": "a"}):
        opened = open_images(row, ANY_SIZE)
        (shown,) = opened["images"] if "images" in row else [opened["image"]]
        assert (shown.mode, shown.size, shown.getpixel((0, 0))) == ("RGB", (8, 6), WHITE)
        assert opened.keys() == row.keys() and opened.get("id") == row.get("id")


def test_an_image_is_turned_upright():
    turned = Image.new("RGB", (8, 6))
    turned.getexif()[0x0112] = 6
    assert open_images({"image": turned}, ANY_SIZE)["image"].size == (6, 8)


def test_images_of_paths_are_opened(tmp_path, monkeypatch):
    CLEAR.save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    for path in ("a.png", str(tmp_path / "a.png"), tmp_path / "a.png"):
        assert open_images({"image": path}, ANY_SIZE)["image"].getpixel((0, 0)) == WHITE


@pytest.mark.parametrize("image", [Image.new("RGB", (8, 6)), "https://example.org/a.png", np.zeros((8, 8, 3))])
def test_what_is_ready_or_no_file_is_left_as_it_is(image):
    assert open_images({"images": [image]}, ANY_SIZE)["images"][0] is image
    assert open_images({"image": image}, ANY_SIZE)["image"] is image


@pytest.mark.parametrize("row", [{}, {"images": []}, {"images": None}, {"image": None}, {"prompt": "What?"}])
def test_a_row_without_images_stays_as_it_is(row):
    assert open_images(row, ANY_SIZE) == row


def test_what_cannot_be_shown_is_named_by_its_row():
    class NoneAllowed:
        @staticmethod
        def image_processor(**_: object) -> None:
            raise ValueError("too small")

    with pytest.raises(
        DataError, match=r"row r1: an image is 8 x 6 pixels, .*too small.*pad it; or leave the row out"
    ):
        open_images({"image": CLEAR, "id": "r1"}, SizeCheck(NoneAllowed()))
    with pytest.raises(DataError, match=r"a row: image .* is not a file in .*; or leave the row out"):
        open_images({"image": "missing.png"}, ANY_SIZE)


def test_rows_of_a_data_set_show_what_load_samples_shows():
    data = Dataset.from_list([{"images": [CLEAR, DEEP]}])
    opened = open_images(data[0], ANY_SIZE)["images"]
    shown = [open_image(image, None, ImagePolicy()) for image in (CLEAR, DEEP)]
    assert [image.tobytes() for image in opened] == [image.tobytes() for image in shown]
