"""Rows made of samples are a data set with the columns that they show, those of the user's own among them."""

from __future__ import annotations

import json
from typing import Any

import datasets
import pytest
from datasets import Dataset, concatenate_datasets
from PIL.Image import Image
from training.training_world import CLAIMS, make_images

from vapo import load_samples, make_training_rows
from vapo.data.columns import Columns
from vapo.errors import DataError
from vapo.training.cached_rows import cache_rows
from vapo.training.data_checks import check_data
from vapo.training.rows import SampleReader

CLAIMED = SampleReader(require_claims=True, require_answers=True)
OWN = {"uid": "u3", "objects": [{"x": 3}], "kind": "b"}


@pytest.fixture(autouse=True)
def no_bars():
    datasets.disable_progress_bars()


@pytest.fixture(params=["json lines", "saved", "parquet", "in memory"])
def source(request, tmp_path) -> Any:
    rows: list[dict[str, Any]] = []
    for number, image in enumerate(make_images(6)):
        image.save(tmp_path / f"{number}.png")
        own = {"uid": f"u{number}", "objects": [{"x": number}], "kind": "ab"[number % 2]}
        rows.append(
            {"question": f"q{number}", "answer": str(number), "image": f"{number}.png", "claims": CLAIMS, **own}
        )
    if request.param == "json lines":
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return tmp_path / "rows.jsonl"
    data = Dataset.from_list([{**row, "image": str(tmp_path / row["image"])} for row in rows])
    data = data.cast_column("image", datasets.Image())
    if request.param == "parquet":
        data.to_parquet(str(tmp_path / "rows.parquet"))
    elif request.param == "saved":
        data.save_to_disk(str(tmp_path / "saved"))
    folder = {"parquet": tmp_path / "rows.parquet", "saved": tmp_path / "saved"}
    return folder.get(request.param, list(data))


def make_rows(source: Any, **columns: str) -> Dataset:
    return make_training_rows(load_samples(source, columns=Columns(question="question", id="uid", **columns)))


def test_columns_of_ones_own_come_as_the_data_hold_them(source):
    rows = make_training_rows(load_samples(source, columns=Columns(question="question")))
    assert rows.column_names == ["prompt", "images", "answer", "claims", "id", *OWN]
    row = cache_rows(rows).__getitems__([3])[0]
    assert {name: row[name] for name in OWN} == OWN
    assert row["id"] == "row-3" and row["answer"] == "3" and isinstance(row["images"][0], Image)


@pytest.fixture
def rows(tmp_path) -> Dataset:
    own = [{"kind": "ab"[number % 2]} for number in range(6)]
    images = make_images(6)
    data = [{"problem": f"q{n}", "answer": str(n), "image": images[n], "claims": CLAIMS, **own[n]} for n in range(6)]
    return make_training_rows(load_samples(data))


CHANGES: dict[str, Any] = {
    "add": lambda rows: rows.add_column("more", list("xyzuvw")),
    "map": lambda rows: rows.map(lambda row: {"more": row["kind"] + str(row["images"][0].width)}),
    "map all": lambda rows: rows.map(lambda row: {**row, "more": row["kind"]}),
    "map batches": lambda rows: rows.map(lambda batch: {"more": batch["kind"]}, batched=True),
    "map images": lambda rows: rows.map(lambda row: {"images": [one.rotate(90) for one in row["images"]]}),
    "rename": lambda rows: rows.rename_column("kind", "sort"),
    "one image": lambda rows: rows.map(lambda row: {"image": row["images"][0]}, remove_columns="images"),
    "filter": lambda rows: rows.filter(lambda row: row["kind"] == "b"),
    "filter by name": lambda rows: rows.filter(lambda kind: kind == "b", input_columns="kind"),
    "shuffle": lambda rows: rows.shuffle(seed=1).flatten_indices(),
    "select columns": lambda rows: rows.select_columns(["prompt", "images", "answer", "claims"]),
    "remove": lambda rows: rows.remove_columns(["kind", "id"]),
    "split": lambda rows: rows.train_test_split(test_size=2, seed=0)["train"],
    "skip and repeat": lambda rows: rows.skip(1).take(3).repeat(2),
    "join": lambda rows: concatenate_datasets([rows, rows.select([0])]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_they_change_as_a_data_set_does(rows, change):
    plain = Dataset.from_list([rows[place] for place in range(len(rows))])
    mine, theirs = change(rows), change(plain)
    check_data(CLAIMED, mine)
    mine = cache_rows(mine)
    assert mine.column_names == theirs.column_names and len(mine) == len(theirs)
    for one, other in zip(mine.__getitems__(list(range(len(mine)))), theirs, strict=True):
        assert one.keys() == other.keys()
        for name in one.keys() - {"images", "image", "prompt"}:
            assert one[name] == other[name], name
        shown = [row["images"] if "images" in row else [row["image"]] for row in (one, other)]
        assert [image.tobytes() for image in shown[0]] == [image.tobytes() for image in shown[1]]
        assert [part.get("text") for part in one["prompt"][0]["content"]][1:] == [f"q{one['answer']}"]


def test_what_a_map_makes_of_claims_is_checked(rows):
    with pytest.raises(DataError, match="train_dataset, row 1: the row has no claims"):
        check_data(
            CLAIMED, rows.map(lambda row, place: {"claims": [] if place == 1 else row["claims"]}, with_indices=True)
        )
    with pytest.raises(DataError, match="the data set has no claims"):
        check_data(CLAIMED, rows.remove_columns("claims"))


@pytest.mark.parametrize(
    "name", ["sort", "unique", "to_pandas", "to_parquet", "to_list", "save_to_disk", "to_iterable_dataset"]
)
def test_what_needs_whole_columns_is_refused_by_name(rows, name):
    with pytest.raises(DataError, match=rf"^\.{name}\(\) cannot be had of make_training_rows"):
        getattr(rows, name)()


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.map(lambda row: {"more": 1}, input_columns=["kind"]),
        lambda rows: rows.select([1, 0]),
        lambda rows: rows.shuffle(seed=0),
        lambda rows: rows.add_column("more", [0] * len(rows)),
        lambda rows: rows.train_test_split(0.5, seed=0)["train"],
    ],
)
def test_it_is_refused_of_changed_rows_as_well(rows, change, tmp_path):
    for write in (lambda changed: changed.to_parquet(tmp_path / "x.parquet"), lambda changed: changed.sort("kind")):
        with pytest.raises(DataError, match="cannot be had of make_training_rows"):
            write(change(rows))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.with_format(None),
        lambda rows: rows.with_format("torch"),
        lambda rows: rows.with_transform(lambda batch: batch),
        lambda rows: concatenate_datasets(
            [rows, make_training_rows(rows.format["format_kwargs"]["transform"].samples)]
        ),
    ],
)
def test_rows_that_lost_what_fills_them_in_are_refused(rows, change):
    with pytest.raises(DataError, match="no longer has the transform of make_training_rows, which fills in prompt"):
        check_data(SampleReader(require_claims=False), change(rows))


def test_columns_that_cannot_reach_rewards_are_named(caplog):
    row = {"problem": "?", "answer": "1", "image": make_images(1)[0], "prompt": "mine", "completions": 3, "kind": "a"}
    rows = make_training_rows(load_samples([row]))
    assert "the columns 'prompt', 'completions' of the data do not reach rewards" in caplog.text
    assert rows.column_names == ["prompt", "images", "answer", "claims", "id", "kind"]
