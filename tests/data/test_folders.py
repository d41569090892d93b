from __future__ import annotations

from pathlib import Path

import pytest

from vapo.data.folders import find_parts
from vapo.errors import DataError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def name_parts(folder: Path) -> dict[str, list[str]]:
    return {split: [str(path.relative_to(folder)) for path in files] for split, files in find_parts(folder).items()}


def test_files_are_sorted_by_the_split_in_their_names(tmp_path: Path) -> None:
    touch(tmp_path, "data/train-00001-of-00002.parquet", "data/train-00000-of-00002.parquet", "data/test-0.parquet")
    touch(tmp_path, "val.parquet", ".cache/train.parquet")
    assert name_parts(tmp_path) == {
        "test": ["data/test-0.parquet"],
        "train": ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"],
        "validation": ["val.parquet"],
    }


def test_subfolders_name_splits_too(tmp_path: Path) -> None:
    touch(tmp_path, "train/metadata.jsonl", "test/metadata.jsonl", "train/a.png")
    assert name_parts(tmp_path) == {"train": ["train/metadata.jsonl"], "test": ["test/metadata.jsonl"]}


def test_a_file_of_no_split_is_train(tmp_path: Path) -> None:
    touch(tmp_path, "trainings-log.jsonl", "contest.jsonl")
    assert name_parts(tmp_path) == {"train": ["contest.jsonl", "trainings-log.jsonl"]}


def test_a_folder_without_data_says_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no data: .* there are no files"):
        find_parts(tmp_path)
    touch(tmp_path, "a.png", "b.csv")
    with pytest.raises(DataError, match=r"only files with \.csv, \.png.*metadata\.jsonl"):
        find_parts(tmp_path)


def test_two_kinds_of_files_are_ambiguous(tmp_path: Path) -> None:
    touch(tmp_path, "a.parquet", "a.jsonl")
    with pytest.raises(DataError, match="name the file that is meant"):
        find_parts(tmp_path)
