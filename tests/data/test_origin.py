from __future__ import annotations

import hashlib
import json
from pathlib import Path

import huggingface_hub.constants
import pytest
from datasets import Dataset, DatasetDict

from vapo.data.origin import describe_origin
from vapo.data.samples import load_samples
from vapo.data.sources import find_commit, list_files


def test_rows_and_claims_are_those_that_are_left(make_row, tmp_path: Path) -> None:
    file = tmp_path / "train.parquet"
    rows = [make_row(), make_row(claims=[{"text": "A roof is seen.", "is_true": True}]), make_row(images=[])]
    Dataset.from_list(rows).to_parquet(file)
    samples = load_samples(str(tmp_path), on_bad_row="skip")
    described = describe_origin(str(tmp_path), "train", samples)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert described["files"] == [{"name": "train.parquet", "bytes": file.stat().st_size, "sha256": digest}]
    assert (described["rows"], described["rows_left_out"]) == (2, 1)
    assert (described["true_claims"], described["false_claims"]) == (2, 1)
    assert described["commit"] is None and json.loads(json.dumps(described)) == described
    assert samples[1:].num_claims == (1, 0) == samples.leave_out({0: "too long"}).num_claims


def test_files_of_a_split(tmp_path: Path) -> None:
    for name in ("train-0.jsonl", "train-1.jsonl", "test.jsonl"):
        (tmp_path / name).write_text("{}\n")
    assert [file.name for file in list_files(str(tmp_path), "train")] == ["train-0.jsonl", "train-1.jsonl"]
    assert list_files(str(tmp_path / "test.jsonl"), "train") == [tmp_path / "test.jsonl"]
    assert list_files("owner/name", "train") == []
    part = Dataset.from_list([{"n": 1}])
    DatasetDict(train=part, test=part).save_to_disk(tmp_path / "saved")
    (file,) = list_files(str(tmp_path / "saved"), "test")
    assert file.suffix == ".arrow" and file.parent.name == "test"


def test_commit_of_a_data_set_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert find_commit("owner/name") is None
    reference = tmp_path / "datasets--owner--name" / "refs" / "main"
    reference.parent.mkdir(parents=True)
    reference.write_text("0123abcd\n")
    assert find_commit("owner/name") == "0123abcd"
