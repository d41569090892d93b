from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict, IterableDataset, NamedSplit

from vapo.data.sources import choose_split, open_rows
from vapo.errors import DataError

ROWS = [{"n": 1}, {"n": 2}, {"n": 3}]


def write(kind: str, folder: Path) -> object:
    dataset = Dataset.from_list(ROWS)
    if kind == "object":
        return dataset
    if kind == "dict of splits":
        return DatasetDict(train=dataset, test=dataset.select([0]))
    if kind == "list":
        return ROWS
    if kind == "saved":
        dataset.save_to_disk(folder / "saved")
        return folder / "saved"
    if kind == "saved splits":
        DatasetDict(train=dataset, test=dataset.select([0])).save_to_disk(folder / "saved")
        return str(folder / "saved")
    suffix = "parquet" if "parquet" in kind else "jsonl"
    save: Callable[[Path], Any] = dataset.to_parquet if suffix == "parquet" else dataset.to_json
    (folder / "data").mkdir()
    save(folder / "data" / f"train.{suffix}")
    return folder / "data" if "folder" in kind else folder / "data" / f"train.{suffix}"


KINDS = ["object", "dict of splits", "list", "saved", "saved splits", "parquet", "parquet folder", "jsonl"]


@pytest.mark.parametrize("kind", [*KINDS, "jsonl folder"])
def test_every_kind_of_source_gives_the_same_rows(kind: str, tmp_path: Path) -> None:
    rows = open_rows(write(kind, tmp_path))
    assert rows.columns == ("n",)
    assert [rows.keep(["n"]).read(index) for index in range(len(rows))] == ROWS


@pytest.mark.parametrize("kind", [*KINDS, "jsonl folder"])
def test_a_split_that_is_not_there_lists_those_that_are(kind: str, tmp_path: Path) -> None:
    names = "train, test" if "splits" in kind else "train; it is taken where no split is named"
    with pytest.raises(DataError, match=f"has no split 'validation'; it has {names}$"):
        open_rows(write(kind, tmp_path), "validation")


def test_other_splits_can_be_chosen(tmp_path: Path) -> None:
    assert len(open_rows(write("dict of splits", tmp_path), "test")) == 1
    assert len(open_rows(write("saved splits", tmp_path), "test")) == 1
    (tmp_path / "test.jsonl").write_text('{"n": 1}\n')
    (tmp_path / "train.jsonl").write_text("")
    assert len(open_rows(tmp_path, "test")) == 1


def test_no_split_means_the_only_one(tmp_path: Path) -> None:
    assert len(open_rows(write("jsonl", tmp_path), None)) == 3
    assert len(open_rows(Dataset.from_list(ROWS, split=NamedSplit("test")), None)) == 3
    with pytest.raises(DataError, match="has the splits train, test; choose one"):
        open_rows(write("dict of splits", tmp_path), None)


@pytest.mark.parametrize("kind", ["saved", "parquet", "parquet folder", "jsonl", "jsonl folder"])
@pytest.mark.parametrize("preferred", ["train", "heldout"])
def test_the_only_split_is_taken_whatever_it_is_called(kind: str, preferred: str, tmp_path: Path) -> None:
    source = str(write(kind, tmp_path))
    assert len(open_rows(source, choose_split(source, preferred))) == 3


def test_of_several_splits_the_preferred_one_is_taken_or_they_are_listed(tmp_path: Path) -> None:
    saved = str(write("saved splits", tmp_path))
    for name in ("valid", "test"):
        (tmp_path / f"{name}.jsonl").write_text('{"n": 1}\n')
    for source in (saved, str(tmp_path)):
        assert choose_split(source, "test") == "test"
        with pytest.raises(DataError, match=r"has the splits .*, .*; choose one with split"):
            choose_split(source, "heldout")


def test_bare_images_have_no_split(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    assert choose_split(str(tmp_path), "train") is None
    with pytest.raises(DataError, match="there is no file or folder"):
        choose_split(str(tmp_path / "nothing"), "train")


def test_paths_start_from_the_file_and_end_at_the_folder(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "metadata.jsonl").write_text('{"file_name": "a.png"}\n')
    folder = open_rows(tmp_path).folder(0)
    assert folder is not None
    assert (folder.base, folder.root) == (tmp_path / "train", tmp_path)
    assert open_rows(Dataset.from_list(ROWS)).folder(0) is None


def test_an_unknown_extension_names_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_text("n\n1\n")
    with pytest.raises(DataError, match=r"a\.xlsx has the unknown extension '\.xlsx'; .* \.parquet, \.jsonl"):
        open_rows(tmp_path / "a.xlsx")


@pytest.mark.parametrize("name", ["data/none.parquet", "./none", "/none/at/all", "a/b/c"])
def test_a_path_to_nothing_is_not_looked_for_on_the_hub(name: str) -> None:
    with pytest.raises(DataError, match="there is no file or folder"):
        open_rows(name)


def test_a_hub_name_that_cannot_be_loaded_says_both(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> list[str]:
        raise ConnectionError("no network\nand more")

    monkeypatch.setattr("datasets.get_dataset_split_names", fail)
    with pytest.raises(DataError, match=r"no file or folder owner/name, .* hub it cannot be loaded: no network$"):
        open_rows("owner/name")


def test_a_hub_data_set_is_loaded_by_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.get_dataset_split_names", lambda name: ["train", "test"])
    monkeypatch.setattr(
        "datasets.load_dataset", lambda name, split: Dataset.from_list(ROWS if split == "test" else [])
    )
    rows = open_rows("owner/name", "test")
    assert (rows.source, len(rows)) == ("owner/name", 3)
    folder = rows.folder(0)
    assert folder is not None
    assert folder.root.name == "datasets--owner--name"
    with pytest.raises(DataError, match="has no split 'dev'; it has train, test"):
        open_rows("owner/name", "dev")


def test_a_truncated_parquet_file_is_named(tmp_path: Path) -> None:
    path = Path(str(write("parquet", tmp_path)))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"train\.parquet cannot be read as Parquet: "):
        open_rows(path)


def test_shards_of_two_types_are_named(tmp_path: Path) -> None:
    for number, answers in enumerate(([1, 2], ["one", "two"])):
        Dataset.from_dict({"answer": answers}).to_parquet(tmp_path / f"train-{number}.parquet")
    message = r"column 'answer' is int64 in train-0\.parquet and \w*string in train-1\.parquet; write it in one type"
    with pytest.raises(DataError, match=message):
        open_rows(tmp_path)


def test_a_broken_saved_folder_is_named(tmp_path: Path) -> None:
    folder = Path(str(write("saved", tmp_path)))
    next(folder.glob("*.arrow")).unlink()
    with pytest.raises(DataError, match="saved cannot be read: "):
        open_rows(folder)


@pytest.mark.parametrize("way", ["absolute", "upwards", "link", "no file", "number"])
def test_a_saved_folder_may_name_no_files_of_others(tmp_path: Path, way: str) -> None:
    for name in ("mine", "others"):
        Dataset.from_list(ROWS).save_to_disk(tmp_path / name)
    record, theirs = tmp_path / "mine" / "state.json", next((tmp_path / "others").glob("*.arrow"))
    if way == "link":
        (tmp_path / "mine" / "link.arrow").symlink_to(theirs)
    names = {"absolute": str(theirs), "upwards": f"../others/{theirs.name}", "link": "link.arrow", "no file": "."}
    state = json.loads(record.read_text())
    record.write_text(json.dumps({**state, "_data_files": [{"filename": names.get(way, 5)}]}))
    with pytest.raises(DataError, match=r"mine cannot be read: .*state\.json names the file .* none in it"):
        open_rows(tmp_path / "mine")


@pytest.mark.parametrize("name", ["../others", "/{others}", "..", "", "a::http://localhost", 5])
def test_a_saved_folder_may_name_no_splits_elsewhere(tmp_path: Path, name: str | int) -> None:
    Dataset.from_list(ROWS).save_to_disk(tmp_path / "others")
    DatasetDict(train=Dataset.from_list(ROWS)).save_to_disk(tmp_path / "mine")
    named = name.format(others=tmp_path / "others") if isinstance(name, str) else name
    (tmp_path / "mine" / "dataset_dict.json").write_text(json.dumps({"splits": [named]}))
    with pytest.raises(DataError, match=r"mine cannot be read: .*dict\.json names the split .* no folder in it"):
        open_rows(tmp_path / "mine", None)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"_data_files": {}}', "[" * 100_000])
def test_a_saved_folder_without_a_record_of_its_files_is_named(tmp_path: Path, text: str) -> None:
    Dataset.from_list(ROWS).save_to_disk(tmp_path / "saved")
    (tmp_path / "saved" / "state.json").write_text(text)
    with pytest.raises(DataError, match=r"state\.json .*save the data set anew"):
        open_rows(tmp_path / "saved")


def test_what_cannot_be_read_by_row_is_refused() -> None:
    streaming = IterableDataset.from_generator(lambda: iter(ROWS))
    for source in (streaming, 5, None):
        with pytest.raises(DataError, match="cannot be read by row"):
            open_rows(source)


def test_a_transform_is_not_lost_in_silence() -> None:
    transformed = Dataset.from_list(ROWS).with_transform(lambda batch: batch)
    with pytest.raises(DataError, match=r"has a transform, .* apply it with \.map\(\)"):
        open_rows(transformed)
