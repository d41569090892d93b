"""One configuration file trains the lab model and, with another model path, a model of another family."""

from __future__ import annotations

import json

import pytest
import yaml
from tiny_models import save_tiny
from transformers import AutoModelForImageTextToText

from vapo.cli import main

CONFIG = {
    "model_name_or_path": "lab",
    "data": "lab",
    "split": "heldout",
    "limit": 12,
    "num_generations": 4,
    "per_device_train_batch_size": 8,
    "num_anchors": 4,
    "max_completion_length": 176,
    "learning_rate": 1e-5,
    "max_steps": 2,
    "logging_steps": 1,
    "save_strategy": "no",
}


def train(folder, *more: str) -> list[dict]:
    (folder / "run.yaml").write_text(yaml.safe_dump(CONFIG))
    assert main(["train", "--config", str(folder / "run.yaml"), "--output_dir", str(folder / "run"), *more]) == 0
    AutoModelForImageTextToText.from_pretrained(folder / "run")
    return [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()][:2]


def test_the_lab_model(tmp_path):
    entries = train(tmp_path)
    assert len(entries) == 2 and all(0 < entry["perception/accuracy"] <= 1 for entry in entries)
    assert all(entry["rewards/format_reward/mean"] > 0.7 for entry in entries)


@pytest.mark.torchvision
def test_a_random_qwen3_vl(tmp_path):
    entries = train(tmp_path, "--model_name_or_path", str(save_tiny("qwen3_vl", tmp_path / "model")))
    assert len(entries) == 2 and all("perception/gate_open" in entry for entry in entries)
