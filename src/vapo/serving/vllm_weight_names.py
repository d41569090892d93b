"""Names of weights that vLLM reads."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file

_NOW, _BEFORE = "vision_tower.", "vision_tower.vision_model."
_TOWERS = ("clip_vision_model", "siglip_vision_model")


def name_for_vllm(folder: Path) -> None:
    """Rename the weights of a saved model whose tower is CLIP's or SigLIP's so that vLLM finds them; else do nothing.

    vLLM 0.31 knows the parts of these towers by the names that transformers gave them before version 5, and that
    published checkpoints have. transformers reads both, and writes those that it read.

    Args:
        folder: as `save_pretrained` wrote it.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if (config.get("vision_config") or {}).get("model_type") not in _TOWERS:
        return
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as weights:
            named = {_rename(name): weights.get_tensor(name) for name in weights.keys()}  # noqa: SIM118 (no mapping)
        save_file(named, file, metadata={"format": "pt"})
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        listed = json.loads(index.read_text(encoding="utf-8"))
        listed["weight_map"] = {_rename(name): file for name, file in listed["weight_map"].items()}
        index.write_text(json.dumps(listed, indent=2) + "\n", encoding="utf-8")


def _rename(name: str) -> str:
    return name if _BEFORE in name else name.replace(_NOW, _BEFORE)
