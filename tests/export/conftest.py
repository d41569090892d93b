"""A small model, an adapter on it, and the folder of a run that trained it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tiny_models import save_tiny
from transformers import AutoModelForImageTextToText

from vapo.training.usual_settings import list_usual_settings

SPLIT = {
    "source": "/home/someone/charts.parquet",
    "split": "train",
    "rows": 7,
    "rows_left_out": 1,
    "true_claims": 3,
    "false_claims": 2,
    "files": [{"name": "charts.parquet", "bytes": 9, "sha256": "ab12"}],
    "commit": None,
}


@pytest.fixture(scope="session")
def base(tmp_path_factory) -> Path:
    folder = save_tiny("llava", tmp_path_factory.mktemp("base") / "model")
    (folder / "README.md").write_text("---\nlicense: other\nlicense_name: its-own\n---\n\n# Tiny-VL\n\n# More\n")
    return folder


@pytest.fixture(scope="session")
def adapter(base, tmp_path_factory) -> Path:
    return save_adapter(base, tmp_path_factory.mktemp("adapter"))


def save_adapter(base: Path, folder: Path, *targets: str) -> Path:
    """Save an adapter that matters: its weights are drawn, not zero. Return its folder."""
    model = AutoModelForImageTextToText.from_pretrained(base)
    torch.manual_seed(0)
    config = LoraConfig(r=4, lora_alpha=32, target_modules=list(targets or ("q_proj", "v_proj")))
    adapted = get_peft_model(model, config)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.5)
    adapted.save_pretrained(folder)
    return folder


def make_run(folder: Path, **settings: Any) -> Path:
    """Write what a run writes beside its checkpoints, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    usual = list_usual_settings({"use_cpu": True})
    run = {**usual, "model_name_or_path": "org/base-vl", "data": SPLIT["source"], "algorithm": "vapo", **settings}
    (folder / "settings.json").write_text(json.dumps(run))
    (folder / "versions.json").write_text('{"python": "3.11.1", "vapo": "0.1.0"}')
    (folder / "data.json").write_text(json.dumps({"train": SPLIT}))
    entries = [{"step": step, "perception/accuracy_quarter_4": step / 10} for step in (1, 2, 3)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries) + '{"st')
    return folder


def make_checkpoint(run: Path, step: int, of: int) -> Path:
    """Write what marks a complete checkpoint of a run, without weights, and return the folder."""
    folder = run / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step, "max_steps": of}))
    (folder / "rng_state.pth").touch()
    return folder
