"""Rows written to Parquet: nothing but what was meant changes, and the file stands alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, Features, Image, List, Value
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vapo.data.columns import Columns
from vapo.data.row_files import check_parquet_name, write_rows
from vapo.data.row_reader import RowReader
from vapo.data.samples import load_samples, prepare_reader
from vapo.errors import ConfigError, DataError
from vapo.types import Claim


def read(source: object) -> RowReader:
    return prepare_reader(source, split=None, columns=Columns(), image_folder=None, whole_rows=True)[0]


def test_published_rows_keep_all_columns(published_row, tmp_path):
    rows = [{**published_row, "level": 3, "tags": ["a", "b"]}, {**published_row, "level": None, "tags": []}]
    write_rows(tmp_path / "out.parquet", read(rows), [1, 0])
    written = read(str(tmp_path / "out.parquet")).rows
    assert set(written.columns) == set(rows[0])
    assert [written.read(index) for index in range(2)] == [rows[1], rows[0]]


def test_new_claims_take_the_place_of_numbered_ones(published_row, tmp_path):
    pool = (Claim("There is a roof.", True), Claim("It snows.", False))
    write_rows(tmp_path / "out.parquet", read([published_row]), [0], find_claims=lambda row: pool)
    samples = load_samples(str(tmp_path / "out.parquet"), require_claims=True)
    assert samples[0].claims == pool
    assert not [name for name in read(str(tmp_path / "out.parquet")).rows.columns if name.startswith("claim_")]


def test_images_named_by_paths_are_taken_in(make_row, photo, tmp_path, monkeypatch):
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    photo.save(folder / "images" / "one.png")
    (folder / "train.jsonl").write_text(json.dumps({**make_row(), "images": "images/one.png"}))
    write_rows(tmp_path / "out.parquet", read(str(folder / "train.jsonl")), [0])
    (folder / "images" / "one.png").unlink()
    assert load_samples(str(tmp_path / "out.parquet"))[0].images[0].tobytes() == photo.tobytes()
    assert read(str(tmp_path / "out.parquet")).rows.read(0)["images"][0]["path"] == "one.png"


@pytest.mark.parametrize("stored", ["parquet", "disk"])
@pytest.mark.parametrize("several", [False, True])
def test_columns_keep_their_types(make_row, photo, tmp_path, stored, several):
    features = Features(
        {
            "problem": Value("string"),
            "answer": Value("large_string"),
            "images": List(Image()) if several else Image(),
            "level": Value("int32"),
            "score": Value("float16"),
            "kind": ClassLabel(names=["near", "far"]),
            "boxes": List({"name": Value("string"), "corner": List(Value("int16"), length=2)}),
            "detail": {"crop": Image(), "seen": Value("bool")},
        }
    )
    row = {
        **{"problem": "q", "answer": "1", "images": [photo, photo] if several else photo, "level": 3, "score": 0.5},
        **{"kind": 1, "boxes": [{"name": "a", "corner": [1, 2]}], "detail": {"crop": photo, "seen": True}},
    }
    rows = Dataset.from_list([row, {**row, "level": None, "boxes": []}], features=features)
    source = tmp_path / "data"
    if stored == "parquet":
        source = tmp_path / "data.parquet"
        rows.to_parquet(source)
    else:
        rows.save_to_disk(source)
    pool = (Claim("There is a roof.", True), Claim("It snows.", False))
    for name, claims in (("same", None), ("claimed", lambda row: pool)):
        write_rows(tmp_path / f"{name}.parquet", read(str(source)), [0, 1], find_claims=claims)
        written = Dataset.from_parquet(str(tmp_path / f"{name}.parquet"))
        assert {column: written.features[column] for column in features} == dict(features)
        assert set(written.features) - set(features) == (set() if claims is None else {"claims"})
        assert (
            written.select_columns(["level", "score", "kind", "boxes"])[:]
            == rows.select_columns(["level", "score", "kind", "boxes"])[:]
        )
        assert written[0]["detail"]["crop"].tobytes() == photo.tobytes()
        assert load_samples(str(tmp_path / f"{name}.parquet"))[0].images[0].tobytes() == photo.tobytes()


COLUMN = st.sampled_from([st.text(max_size=5), st.integers(-9, 9), st.booleans(), st.lists(st.integers(0, 9))])


@given(st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_columns_of_one_type_come_back_as_they_were(make_row, tmp_path, data):
    values = data.draw(COLUMN)
    column = data.draw(st.lists(st.none() | values, min_size=1, max_size=4))
    rows = [{**make_row(), "extra": value} for value in column]
    write_rows(tmp_path / "out.parquet", read(rows), range(len(rows)))
    written = read(str(tmp_path / "out.parquet")).rows
    assert [written.read(index)["extra"] for index in range(len(rows))] == column


def test_a_column_of_several_types_is_refused_and_nothing_is_written(make_row, tmp_path):
    rows = [make_row(extra="text"), make_row(extra=[1])]
    with pytest.raises(DataError, match="column 'extra' holds values of several types"):
        write_rows(tmp_path / "out.parquet", read(rows), [0, 1])
    with pytest.raises(DataError, match="no row of the rows given is left"):
        write_rows(tmp_path / "out.parquet", read(rows), [])
    assert list(tmp_path.iterdir()) == []


def test_an_image_that_is_gone_names_its_row_and_leaves_the_old_file(make_row, tmp_path):
    out = tmp_path / "out.parquet"
    write_rows(out, read([make_row()]), [0])
    before = out.read_bytes()
    (tmp_path / "train.jsonl").write_text(json.dumps({**make_row(), "images": "gone.png"}))
    with pytest.raises(DataError, match=r"row 0 \(train.jsonl, line 1\): image 'gone.png' is not a file"):
        write_rows(out, read(str(tmp_path / "train.jsonl")), [0])
    assert out.read_bytes() == before and {path.name for path in tmp_path.iterdir()} == {"out.parquet", "train.jsonl"}


def test_names_of_files_are_checked_before_the_work(tmp_path):
    with pytest.raises(ConfigError, match=r"call it rows\.parquet"):
        check_parquet_name(Path("rows.json"))
    with pytest.raises(ConfigError, match="make it first"):
        check_parquet_name(tmp_path / "gone" / "rows.parquet")
