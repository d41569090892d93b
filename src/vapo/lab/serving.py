"""The lab's checkpoint in the form that vLLM reads."""

from __future__ import annotations

import shutil
from pathlib import Path

from vapo.errors import ConfigError

from .shipped import shipped_checkpoint


def save_for_vllm(folder: Path) -> Path:
    """Save the shipped checkpoint for `vllm serve` and return the folder.

    vLLM 0.31 knows the parts of LLaVA's vision tower by the names that transformers gave them before version 5.

    Raises:
        ConfigError: there is something in that place.
        ModelError: the package came without a checkpoint.
    """
    from safetensors.torch import load_file, save_file

    if folder.exists():
        raise ConfigError(f"there is a {folder} already; name another folder, or remove it")
    shutil.copytree(shipped_checkpoint(), folder)
    weights = load_file(folder / "model.safetensors")
    renamed = {name.replace("vision_tower.", "vision_tower.vision_model."): w for name, w in weights.items()}
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
