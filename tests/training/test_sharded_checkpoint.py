"""A sharded checkpoint from a stranger runs no code when a run goes on from it."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner

from vapo.errors import ModelError
from vapo.training.sharded_checkpoint import check_sharded_checkpoint, read_metadata

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is")


class Attack:
    """Touches a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.mark),))


@pytest.fixture
def state() -> dict[str, Any]:
    layer = torch.nn.Linear(4, 4)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.zeros(1, 4)).sum().backward()
    optimizer.step()
    plain = {"lr": 0.1, "name": "adam", "flag": True, "betas": (0.9, 0.99), "none": None}
    return {
        "model": layer.state_dict(),
        "half": torch.zeros(2, dtype=torch.bfloat16),
        **plain,
        "o": optimizer.state_dict(),
    }


@pytest.fixture
def checkpoint(tmp_path: Path, state: dict[str, Any]) -> Path:
    folder = tmp_path / "checkpoint-1"
    dcp.save(state, checkpoint_id=folder / "optimizer_0")
    return folder


def load(checkpoint: Path, state: dict[str, Any]) -> None:
    """Read a checkpoint as accelerate does."""
    reader = dcp.FileSystemReader(checkpoint / "optimizer_0")
    dcp.load(state, storage_reader=reader, planner=DefaultLoadPlanner())


def test_what_torch_writes_is_taken(checkpoint: Path, state: dict[str, Any]):
    check_sharded_checkpoint(checkpoint)
    load(checkpoint, state)
    assert "model.weight" in read_metadata(checkpoint / "optimizer_0" / ".metadata").state_dict_metadata


def test_metadata_that_runs_code_is_refused_by_name(checkpoint: Path, state: dict[str, Any], tmp_path: Path):
    (checkpoint / "optimizer_0" / ".metadata").write_bytes(pickle.dumps(Attack(tmp_path / "ran")))
    with pytest.raises(ModelError, match=r"holds posix\.mkdir, which is no part of .* could run code; do not open it"):
        check_sharded_checkpoint(checkpoint)
    assert not (tmp_path / "ran").exists()
    with pytest.raises(CheckpointException):  # of what the attack returns, when it is too late
        load(checkpoint, state)
    assert (tmp_path / "ran").exists(), "the attack works where nobody looks first"


def test_a_value_that_runs_code_is_refused_by_name(tmp_path: Path, state: dict[str, Any]):
    folder = tmp_path / "checkpoint-1"
    dcp.save({**state, "lr": Attack(tmp_path / "ran")}, checkpoint_id=folder / "optimizer_0")
    with pytest.raises(ModelError, match=r"holds a value 'lr' that torch would not read safely"):
        check_sharded_checkpoint(folder)
    assert not (tmp_path / "ran").exists()
    load(folder, state)
    assert (tmp_path / "ran").exists(), "the attack works where nobody looks first"


def test_a_value_in_an_older_form_is_refused(checkpoint: Path, tmp_path: Path):
    metadata = read_metadata(checkpoint / "optimizer_0" / ".metadata")
    index = next(index for index in metadata.storage_data if index.fqn == "lr")
    place, stream = metadata.storage_data[index], io.BytesIO()
    torch.save(Attack(tmp_path / "ran"), stream, _use_new_zipfile_serialization=False)
    shard = checkpoint / "optimizer_0" / place.relative_path
    content = bytearray(shard.read_bytes())
    content[place.offset : place.offset + place.length] = stream.getvalue().ljust(place.length, b"\0")
    shard.write_bytes(content)
    with pytest.raises(ModelError, match="holds a value 'lr'"):
        check_sharded_checkpoint(checkpoint)


@pytest.mark.parametrize("outside", ["../../secret", "/etc/hostname"])
def test_a_value_outside_the_folder_is_refused(checkpoint: Path, tmp_path: Path, outside: str):
    (tmp_path / "secret").write_bytes(b"PK")
    file = checkpoint / "optimizer_0" / ".metadata"
    metadata = read_metadata(file)
    index = next(index for index in metadata.storage_data if index.fqn == "lr")
    metadata.storage_data[index].relative_path = outside
    file.write_bytes(pickle.dumps(metadata))
    with pytest.raises(ModelError, match="cannot be looked through"):
        check_sharded_checkpoint(checkpoint)


@pytest.mark.parametrize("content", [b"", b"\x80\x05.", pickle.dumps({"a": 1}), b"\xff" * 100])
def test_what_is_no_metadata_is_refused(checkpoint: Path, content: bytes):
    (checkpoint / "optimizer_0" / ".metadata").write_bytes(content)
    with pytest.raises(ModelError, match=r"\.metadata (cannot be read|holds no metadata)"):
        check_sharded_checkpoint(checkpoint)


def test_whoever_goes_on_with_deepspeed_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "global_step1").mkdir()
    check_sharded_checkpoint(tmp_path)
    assert "DeepSpeed, which runs whatever code" in capsys.readouterr().err
