import io

import pyarrow.parquet
import pytest
from PIL import Image

from vapo.lab import shipped
from vapo.lab.dataset import write_dataset
from vapo.lab.questions import EARLY, KINDS, LATE


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    path = write_dataset(tmp_path_factory.mktemp("lab") / "train.parquet", "train", seed=4, rows=40)
    return pyarrow.parquet.read_table(path).to_pylist()


def test_the_same_seed_writes_the_same_bytes_and_another_does_not(tmp_path):
    first = write_dataset(tmp_path / "one.parquet", "heldout", seed=1, rows=10).read_bytes()
    assert write_dataset(tmp_path / "two.parquet", "heldout", seed=1, rows=10).read_bytes() == first
    assert write_dataset(tmp_path / "three.parquet", "heldout", seed=2, rows=10).read_bytes() != first
    assert not list(tmp_path.glob(".*")), "nothing unfinished is left"


def test_rows_hold_everything(rows):
    assert len({row["id"] for row in rows}) == 40
    for row in rows:
        image = Image.open(io.BytesIO(row["images"][0]["bytes"]))
        image.load()
        assert (image.size, image.mode) == ((64, 64), "RGB")
        assert (len(row["digits"]), len(row["digits"][0])) == (row["rows"], row["columns"])
        assert sum(claim["is_true"] for claim in row["claims"]) == 10
        assert row["answer"].isdigit() != (row["kind"] == "over")
        assert row["problem"]
    assert {row["kind"] for row in rows} == set(KINDS)
    assert {(row["rows"], row["columns"]) for row in rows} == {(2, 3), (3, 2)}


def test_late_questions_come_as_often_as_their_kinds_are_named(tmp_path):
    kinds = (*EARLY, *EARLY, *EARLY, *LATE)
    path = write_dataset(tmp_path / "train.parquet", "train", seed=4, rows=16, kinds=kinds)
    drawn = [row["kind"] for row in pyarrow.parquet.read_table(path).to_pylist()]
    assert sum(kind in LATE for kind in drawn) == 4


def test_row_n_does_not_depend_on_how_many_there_are(rows, tmp_path):
    fewer = write_dataset(tmp_path / "few.parquet", "train", seed=4, rows=5)
    assert pyarrow.parquet.read_table(fewer).to_pylist() == rows[:5]


def test_shipped_data_is_made_once_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(shipped.SHIPPED_ROWS, "heldout", 6)
    path = shipped.shipped_data("heldout")
    assert path.is_relative_to(tmp_path)
    made = path.stat().st_mtime_ns
    assert shipped.shipped_data("heldout").stat().st_mtime_ns == made
    assert pyarrow.parquet.read_metadata(path).num_rows == 6
