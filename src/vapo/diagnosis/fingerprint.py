"""Say what a model's results depend on, its weights among it, without keeping the model."""

from __future__ import annotations

import hashlib
from itertools import chain
from typing import Any

import torch

import vapo
from vapo.engines.policy.checkpoint import Policy
from vapo.engines.run_folder import list_versions

_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def fingerprint_weights(model: torch.nn.Module) -> str:
    """Return a digest of all parameters and buffers that is the same on every device and number of threads.

    Each tensor enters by name, type, shape and the sum of its bit patterns as integers: exact in any order of
    summation, and changed by any training step but with negligible probability. It is no defence against forgery.
    """
    digest = hashlib.sha256()
    for name, tensor in chain(model.named_parameters(), model.named_buffers()):
        values = tensor.detach().contiguous()
        if values.dtype is torch.bool:
            values = values.to(torch.uint8)
        total = int(values.view(_INTEGERS[values.element_size()]).sum(dtype=torch.int64))
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} {total}\n".encode())
    return digest.hexdigest()[:32]


def describe_policy(policy: Policy) -> dict[str, Any]:
    """Return what results depend on besides their settings: weights, precision, device, versions."""
    parameter = next(policy.model.parameters())
    return {
        "weights": fingerprint_weights(policy.model),
        "dtype": str(parameter.dtype).removeprefix("torch."),
        "device": parameter.device.type,
        "vapo": vapo.__version__,
        "torch": torch.__version__,
        "transformers": list_versions()["transformers"],
    }
