"""Say what a model's results depend on, its weights among it, without keeping the model."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path
from typing import Any

import torch

from vapo.models.policy.checkpoint import Policy, find_folder
from vapo.run_folder import list_versions
from vapo.versions import OWN

_SAMPLES, _SAMPLE_BYTES = 256, 1 << 12
_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def fingerprint_weights(model: torch.nn.Module) -> str:
    """Return a digest of all parameters and buffers that is the same on every device and number of threads.

    Each tensor enters by name, type, shape and the sum of its bit patterns as integers: exact in any order of
    summation, and changed by any training step but with negligible probability. It is no defence against forgery.
    """
    digest = hashlib.sha256()
    for name, tensor in itertools.chain(model.named_parameters(), model.named_buffers()):
        values = tensor.detach().contiguous()
        if values.dtype is torch.bool:
            values = values.to(torch.uint8)
        total = int(values.view(_INTEGERS[values.element_size()]).sum(dtype=torch.int64))
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} {total}\n".encode())
    return digest.hexdigest()[:32]


def fingerprint_files(model: str | Path) -> str:
    """Return a digest of a checkpoint's files that training changes, without opening it as a model.

    Of each file it takes the name, the size and samples from all over it: what training leaves alone, such as a vision
    tower, lies together. A name on the hub stands for itself.
    """
    folder = find_folder(model)
    if folder is None:
        return str(model)
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.suffix in (".safetensors", ".bin", ".json")):
        size = path.stat().st_size
        with path.open("rb") as file:
            digest.update(f"{path.name} {size}\n".encode())
            for start in range(0, size, max(size // _SAMPLES, _SAMPLE_BYTES)):
                file.seek(start)
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:32]


def describe_policy(policy: Policy) -> dict[str, Any]:
    """Return what results depend on besides their settings: weights, precision, device, versions."""
    parameter = next(policy.model.parameters())
    return {
        "weights": fingerprint_weights(policy.model),
        "dtype": str(parameter.dtype).removeprefix("torch."),
        "device": parameter.device.type,
        "vapo": OWN,
        "torch": torch.__version__,
        "transformers": list_versions()["transformers"],
    }
