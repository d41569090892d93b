from __future__ import annotations

import errno
import shutil
from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors import SafetensorError
from tiny_models import build_tiny

from vapo.errors import ConfigError, ModelError
from vapo.export.weights import (
    check_room,
    choose_dtypes,
    explaining_full_disk,
    merge_adapter,
    open_plainly,
    write_model,
)
from vapo.models.policy.checkpoint import CheckpointParts, Policy


def config(dtype, **more):
    return SimpleNamespace(dtype=dtype, name_or_path="org/base", **more)


@pytest.mark.parametrize(
    ("stored", "asked", "quantised", "expected"),
    [
        (torch.float32, "auto", False, ("float32", "float32")),
        (torch.bfloat16, "auto", False, ("bfloat16", "bfloat16")),
        (torch.float32, "bfloat16", False, ("float32", "bfloat16")),
        (torch.float32, "auto", True, ("bfloat16", "bfloat16")),
        (torch.float16, "auto", True, ("float16", "float16")),
        (None, "auto", False, ("float32", "float32")),
    ],
)
def test_precision_follows_the_stored_weights(stored, asked, quantised, expected):
    assert choose_dtypes(config(stored), asked, quantised=quantised) == expected


def test_precision_that_there_is_not():
    with pytest.raises(ConfigError, match="dtype is 'int8'"):
        choose_dtypes(config(torch.float32), "int8", quantised=False)


def test_quantised_weights_are_refused():
    with pytest.raises(ModelError, match=r"org/base are quantised.*--base"):
        choose_dtypes(config(torch.bfloat16, quantization_config={"load_in_4bit": True}), "auto", quantised=True)


def test_a_full_disk_is_told_before_anything_is_loaded(tmp_path, base, monkeypatch):
    parts = CheckpointParts(str(base), None, str(base))
    check_room(tmp_path / "new" / "out", parts, "float32", "float32")
    size = (base / "model.safetensors").stat().st_size
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=64 * 2**20 + size // 2))
    check_room(tmp_path / "out", parts, "float32", "bfloat16")
    with pytest.raises(ConfigError, match=f"the disk of {tmp_path} has 0.1 GB free.*--dtype bfloat16"):
        check_room(tmp_path / "new" / "out", parts, "float32", "float32")


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("I/O: No space left on device (28)")]
)
def test_a_disk_that_fills_while_writing(tmp_path, error):
    full = pytest.raises(ModelError, match=f"the disk of {tmp_path} is full; nothing was kept")
    with full, explaining_full_disk(tmp_path / "temporary"):
        raise error
    with pytest.raises(ZeroDivisionError), explaining_full_disk(tmp_path / "temporary"):
        raise ZeroDivisionError


def test_an_adapter_that_cannot_be_merged():
    """Weights that are no numbers, as after a run that diverged."""
    model, processor = build_tiny("llava")
    adapted = get_peft_model(model, LoraConfig(target_modules=["q_proj"], init_lora_weights=False))
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            weight.data.fill_(float("nan"))
    with pytest.raises(ModelError, match="adapter of mine cannot be merged: NaNs"):
        merge_adapter(Policy(adapted, processor, "mine"), "float32")


def test_settings_that_contradict_each_other(tmp_path):
    model, processor = build_tiny("llava")
    model.generation_config.do_sample = False
    model.generation_config.temperature = 0.5
    with pytest.raises(ModelError, match="mine cannot be saved: "):
        write_model(Policy(model, processor, "mine"), tmp_path)


def test_what_was_written_must_open(tmp_path):
    with pytest.raises(ModelError, match="transformers cannot open what was exported"):
        open_plainly(tmp_path, torch.device("cpu"))
