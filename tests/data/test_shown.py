"""Images of any data set, and of a bare folder, row by row."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vapo.data.columns import Columns
from vapo.data.shown import load_shown, stamp_images
from vapo.errors import ConfigError, DataError

FRAME = Image.new("P", (4, 6))


def paint(path: Path, colour: str = "red", size: tuple[int, int] = (6, 4), **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, **options)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    paint(folder / "b.png")
    paint(folder / "trip" / "a.JPG", "blue")
    paint(folder / ".thumbnails" / "a.jpg")
    (folder / "notes.txt").write_text("hello")
    return folder


def test_a_folder_of_images_is_a_data_set(photos: Path):
    rows = load_shown(photos)
    assert [row.name for row in rows] == ["b.png", "trip/a.JPG"] and len(rows) == 2 and rows.num_others == 1
    assert [row.open()[0].size for row in rows] == [(6, 4)] * 2
    assert rows[1].columns == {"file_name": "trip/a.JPG"} and rows[-1].name == "trip/a.JPG"
    assert [row.name for row in load_shown(photos, limit=1)] == ["b.png"]
    with pytest.raises(ConfigError, match="limit is 0"):
        load_shown(photos, limit=0)


def test_columns_that_were_named_must_be_there(photos: Path, tmp_path: Path):
    (tmp_path / "rows.jsonl").write_text(json.dumps({"image": "photos/b.png", "frage": "?", "name": "b"}) + "\n")
    assert load_shown(tmp_path / "rows.jsonl", columns=Columns(question="frage", id="name"))[0].name == "b"
    for source in (tmp_path / "rows.jsonl", photos):
        with pytest.raises(DataError, match=r"there is no column .fragen..*--question-column"):
            load_shown(source, columns=Columns(question="fragen"))


def test_a_stamp_changes_with_the_file_and_not_otherwise(photos: Path):
    first = [row.stamp for row in load_shown(photos)]
    assert first == [row.stamp for row in load_shown(photos)] and len(set(first)) == 2 and "" not in first
    paint(photos / "b.png", "green", size=(60, 40))
    again = [row.stamp for row in load_shown(photos)]
    assert again[0] != first[0] and again[1] == first[1]


def test_stamps_of_values():
    folder = None
    assert stamp_images([b"a", b"b"], folder) != stamp_images([b"ab"], folder)
    assert stamp_images([{"bytes": b"a", "path": "x"}], folder) == stamp_images([b"a"], folder)
    assert stamp_images([Image.new("RGB", (1, 1))], folder) == ""
    assert stamp_images(["https://example.org/a.png"], folder) != ""


@pytest.mark.parametrize(
    ("files", "message"), [([], "there are no files"), (["a.txt", "b.pdf"], r"only files with \.pdf, \.txt")]
)
def test_a_folder_without_images_says_what_it_holds(tmp_path: Path, files: list[str], message: str):
    for name in files:
        (tmp_path / name).write_text("x")
    with pytest.raises(DataError, match=message):
        load_shown(tmp_path)


def test_rows_need_no_question(tmp_path: Path):
    paint(tmp_path / "a.png")
    lines = [{"image": "a.png", "boxes": [1, 2]}, {"image": ["a.png", "a.png"], "boxes": []}]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = load_shown(tmp_path / "train.jsonl")
    assert [row.name for row in rows] == ["row-0", "row-1"] and [len(row.open()) for row in rows] == [1, 2]
    assert rows[0].columns["boxes"] == [1, 2] and rows.source == str(tmp_path / "train.jsonl")


def test_names_are_ids_and_splits_keep_sources_apart(tmp_path: Path):
    paint(tmp_path / "a.png")
    for split in ("train", "test"):
        (tmp_path / f"{split}.jsonl").write_text(json.dumps({"image": "a.png", "id": 7}) + "\n")
    train, test = (load_shown(tmp_path, split=split) for split in ("train", "test"))
    assert [row.name for row in train] == ["7"]
    assert train.source == str(tmp_path) and test.source == f"{tmp_path}, test"


@pytest.mark.parametrize(
    ("lines", "columns", "message"),
    [
        ([{"file": "a.png"}], {}, "no column 'images'"),
        ([{"image": "a.png"}], {"images": "imgae"}, "no column 'imgae'; the nearest is 'image'"),
        ([{"image": "a.png", "id": 1}] * 2, {}, "id '1' is already that of row 0"),
        ([{"image": "a.png", "id": None}], {}, "id"),
        ([], {}, "empty"),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(tmp_path: Path, lines: list, columns: dict, message: str):
    paint(tmp_path / "a.png")
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(DataError, match=message):
        load_shown(tmp_path / "train.jsonl", columns=Columns(**columns))


def test_one_bad_row_does_not_hide_the_next(tmp_path: Path):
    paint(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    lines = [
        '{"image": "a.png"}',
        '{"image": "gone.png"}',
        '{"image": null}',
        '{"image": "b.png"}',
        '{"image": "a.png"}',
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    found: list[str] = []
    rows = iter(load_shown(tmp_path / "train.jsonl"))
    while True:
        try:
            found.append(f"{next(rows).open()[0].size}")
        except StopIteration:
            break
        except DataError as error:
            found.append(str(error).partition("row ")[2])
    assert found[0] == found[4] == "(6, 4)" and len(found) == 5
    assert "1" in found[1] and "'gone.png' is not a file" in found[1]
    assert "no image to look at" in found[2] and "not an image" in found[3]


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("rotated.jpg", lambda p: Image.new("RGB", (6, 4)).save(p, exif=_turned())),
        ("palette.png", lambda p: Image.new("RGB", (4, 6)).convert("P").save(p)),
        ("deep.png", lambda p: Image.fromarray(np.full((6, 4), 40_000, np.uint16)).save(p)),
        ("cmyk.jpg", lambda p: Image.new("CMYK", (4, 6)).save(p)),
        (
            "animated.gif",
            lambda p: Image.new("P", (4, 6)).save(p, save_all=True, append_images=[Image.new("P", (4, 6))]),
        ),
    ],
)
def test_odd_images_are_opened_upright_in_rgb(tmp_path: Path, name: str, make):
    make(tmp_path / name)
    (image,) = load_shown(tmp_path)[0].open()
    assert (image.mode, image.size) == ("RGB", (4, 6))


def test_bad_images_are_named(tmp_path: Path):
    (tmp_path / "empty.png").write_bytes(b"")
    whole = paint(tmp_path / "z.png", size=(300, 300)).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    paint(tmp_path / "huge.png", size=(400, 400))
    for row in load_shown(tmp_path, max_pixels=100_000)[:3]:
        with pytest.raises(DataError, match=f"{row.name}: image"):
            row.open()


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs symbolic links")
def test_a_link_out_of_the_folder_is_refused(tmp_path: Path, photos: Path):
    paint(tmp_path / "secret.png")
    (photos / "link.png").symlink_to(tmp_path / "secret.png")
    rows = load_shown(photos)
    with pytest.raises(DataError, match=r"link\.png: .* leads out of the data folder"):
        _ = rows[1]


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif
