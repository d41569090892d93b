"""Where a model takes its inputs, also one that is spread over several devices or kept elsewhere between passes."""

from __future__ import annotations

from typing import Any

import torch


def find_first_device(module: Any) -> torch.device:
    """Return the device on which a model's inputs are wanted.

    accelerate moves inputs on between devices. Weights that it brings in on demand are "meta" tensors, whose device
    says nothing; the hook that it hung on the embeddings knows.

    Args:
        module: a model of transformers, or what `find_feature_module` returned.
    """
    device = torch.device(next(module.parameters()).device)
    if device.type != "meta":
        return device
    return torch.device(module.get_input_embeddings()._hf_hook.execution_device)
