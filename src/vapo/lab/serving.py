"""The lab's checkpoints in the form that vLLM reads."""

from __future__ import annotations

import shutil
from pathlib import Path

from vapo.errors import ConfigError

from .shipped import resolve_model


def save_for_vllm(folder: Path, model: str = "lab") -> Path:
    """Save a checkpoint of the lab for `vllm serve` and return the folder.

    Args:
        folder: to make.
        model: `lab`, `lab-writer`, or the folder of a checkpoint that was trained from one of them.

    Raises:
        ConfigError: there is something in that place.
        ModelError: the package came without a checkpoint.
    """
    from vapo.serving.vllm_weight_names import name_for_vllm

    if folder.exists():
        raise ConfigError(f"there is a {folder} already; name another folder, or remove it")
    shutil.copytree(resolve_model(model), folder)
    name_for_vllm(folder)
    return folder
