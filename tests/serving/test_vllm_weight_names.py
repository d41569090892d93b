from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tiny_models import build_tiny
from transformers import AutoModelForImageTextToText

from vapo.serving.vllm_weight_names import name_for_vllm


def list_names(folder) -> set[str]:
    names: set[str] = set()
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as weights:
            names |= set(weights.keys())
    return names


@pytest.mark.parametrize("family", ["llava", "gemma3"])  # CLIP's tower and SigLIP's
def test_transformers_reads_what_vllm_reads(family, tmp_path):
    """In several files, whose index follows."""
    model, _ = build_tiny(family)
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    for _ in range(2):  # the second time there is nothing to do
        name_for_vllm(tmp_path)
    towers = {name for name in list_names(tmp_path) if "vision_tower" in name}
    assert towers and all(name.startswith("vision_tower.vision_model.") for name in towers)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"]) == list_names(tmp_path)
    read = AutoModelForImageTextToText.from_pretrained(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), read.parameters(), strict=True))


def test_other_models_are_left_alone(tmp_path):
    (tmp_path / "config.json").write_text('{"vision_config": {"model_type": "internvl_vision"}}')
    save_file({"vision_tower.layer.weight": torch.ones(2)}, tmp_path / "model.safetensors")
    before = (tmp_path / "model.safetensors").read_bytes()
    name_for_vllm(tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == before
