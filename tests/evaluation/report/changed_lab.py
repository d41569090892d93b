"""The lab's checkpoint with noise in what brings the image to its language model."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from vapo.lab.shipped import shipped_checkpoint


def save_blurred_lab(folder: Path) -> Path:
    shutil.copytree(shipped_checkpoint(), folder)
    weights = load_file(folder / "model.safetensors")
    generator = torch.Generator().manual_seed(0)
    blurred = {
        name: tensor + tensor.std() * torch.randn(tensor.shape, generator=generator) if "project" in name else tensor
        for name, tensor in weights.items()
    }
    assert any(not torch.equal(weights[name], blurred[name]) for name in weights)
    save_file(blurred, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
