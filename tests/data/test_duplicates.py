"""Images in two data sets: copies of every common sort are found, others are not, and rows are counted rightly."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data.conftest import encode
from PIL import Image, ImageDraw

from vapo.data.columns import Columns
from vapo.data.duplicates import NEAR, Duplicate, Duplicates, find_duplicates
from vapo.data.duplicates_table import dump_duplicates, format_duplicates
from vapo.data.fingerprints import take_fingerprint
from vapo.data.row_reader import RowReader
from vapo.data.samples import prepare_reader
from vapo.errors import ConfigError, DataError
from vapo.lab.world import draw_scene, photograph


def read(rows: list[dict[str, Any]], **columns: str) -> RowReader:
    return prepare_reader(rows, split=None, columns=Columns(**columns), image_folder=None)[0]


def draw_chart(seed: int) -> Image.Image:
    image = Image.new("RGB", (200, 150), "white")
    draw = ImageDraw.Draw(image)
    for number, height in enumerate(np.random.default_rng(seed).integers(10, 120, 6)):
        draw.rectangle([20 + 28 * number, 140 - int(height), 40 + 28 * number, 140], fill="steelblue")
    return image


def draw_grid(seed: int) -> Image.Image:
    return photograph(draw_scene(np.random.default_rng(seed), 3, 3, "train"), 64)


@pytest.fixture(scope="module")
def images() -> list[Image.Image]:
    """Images of three sorts, of which many look much alike."""
    with Image.open(str(files("sklearn.datasets.images") / "china.jpg")) as photo:
        parts = [photo.crop((x, y, x + 200, y + 150)) for x in (0, 220, 440) for y in (0, 160, 270)]
    return [*map(draw_chart, range(30)), *map(draw_grid, range(30)), *parts]


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "another lossless format": lambda image: reopen(encode(image, "BMP")),
    "JPEG": lambda image: reopen(encode(image, "JPEG", quality=50)),
    "half size": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC),
    "double size": lambda image: image.resize((image.width * 2, image.height * 2), Image.Resampling.BILINEAR),
    "brighter": lambda image: image.point(lambda value: value * 0.85 + 25),
    "grey": lambda image: image.convert("L").convert("RGB"),
}


def reopen(content: bytes) -> Image.Image:
    with Image.open(io.BytesIO(content)) as image:
        return image.convert("RGB")


@pytest.mark.parametrize("sort", COPIES)
def test_a_copy_is_found_and_nothing_else(sort, images):
    taken = [take_fingerprint(image) for image in images]
    for number, image in enumerate(images):
        copy = take_fingerprint(COPIES[sort](image))
        near = [other for other, one in enumerate(taken) if (one.bits != copy.bits).sum() <= NEAR]
        assert near == [number]
        assert (copy.name == taken[number].name) == (sort == "another lossless format")


@pytest.fixture
def found(images) -> Duplicates:
    """Rows 1 and 3 of the first share their images with rows 2 and 0 of the second; row 1 has two images."""
    rows = [
        {"images": [images[0]]},
        {"images": [images[1], images[2]]},
        {"images": []},
        {"images": [images[3]]},
    ]
    others = [{"image": COPIES["JPEG"](images[3])}, {"image": images[5]}, {"image": images[2]}]
    return find_duplicates(read(rows), read(others, images="image"))


def test_rows_that_share_an_image_are_told_with_their_places(found):
    exact, near = found.found
    assert exact == Duplicate(row=1, image=1, other_row=2, other_image=0, distance=None)
    assert (near.row, near.other_row) == (3, 0) and 0 < near.distance <= NEAR
    assert found.rows == (1, 3)
    assert found.clean_rows == (0, 2)


def test_the_report_names_counts_and_pairs(found):
    shown = format_duplicates(found)
    assert "the same pixels      1 pairs of images in 1 rows" in shown
    assert "rows with either     2 of 4" in shown
    assert "  row 1, image 2, is row 2, image 1" in shown
    report = json.loads(dump_duplicates(found))
    assert [(pair["row"], pair["same_pixels"]) for pair in report["pairs"]] == [(1, True), (3, False)]


def test_near_copies_can_be_left_alone(images):
    row, copy = {"images": [images[0]]}, {"images": [COPIES["JPEG"](images[0])]}
    assert find_duplicates(read([row]), read([copy, row]), max_distance=0).found == (Duplicate(0, 0, 1, 0, None),)
    with pytest.raises(ConfigError, match="0 to 254"):
        find_duplicates(read([row]), read([row]), max_distance=255)


def test_data_without_images_is_refused(images):
    good = read([{"images": [images[0]]}])
    with pytest.raises(DataError, match="there is no image to look at: there is no column 'images'"):
        find_duplicates(good, read([{"text": "no image"}]))
    with pytest.raises(DataError, match="has no image to compare in its 1 rows"):
        find_duplicates(good, read([{"images": []}]))


def test_an_image_that_cannot_be_opened_is_refused_or_left_out(images):
    broken, good = {"images": [b"broken"]}, {"images": [images[0]]}
    with pytest.raises(DataError, match=r"row 1: image is not an image.*--on-bad-row skip"):
        find_duplicates(read([good, broken]), read([good]))
    found = find_duplicates(read([good, broken]), read([good, broken]), skip_bad_rows=True)
    assert found.rows == (0,) and found.clean_rows == ()
    assert [problem.row for problem in (*found.problems, *found.other_problems)] == [1, 1]
    assert "left out of the rows given" in format_duplicates(found)


def test_the_command_writes_the_rest_and_a_report(images, tmp_path: Path, monkeypatch, capsys):
    from vapo.cli import main

    monkeypatch.chdir(tmp_path)
    for name, numbers in (("train", (0, 1, 2)), ("test", (7, 1))):
        with Path(f"{name}.jsonl").open("w") as file:
            for number in numbers:
                images[number].save(f"{number}.png")
                row = {"problem": "?", "answer": number, "images": [f"{number}.png"], "note": f"n{number}"}
                file.write(json.dumps(row) + "\n")
    words = ["data", "deduplicate", "train.jsonl", "--against", "test.jsonl", "--against-split", "train"]
    assert main([*words, "--out", "clean.parquet", "--report", "report.json"]) == 0
    assert "2 rows without an image of the evaluation data are in clean.parquet" in capsys.readouterr().out
    assert len(json.loads(Path("report.json").read_text())["pairs"]) == 1
    rows = prepare_reader("clean.parquet", split=None, columns=Columns(), image_folder=None, whole_rows=True)[0].rows
    assert [rows.read(index)["note"] for index in range(len(rows))] == ["n0", "n2"]
    assert main([*words, "--out", "clean.json"]) == 1
    assert "call it clean.parquet" in capsys.readouterr().err
