"""Where a model takes its inputs, also one that is spread over several devices or kept on disk."""

from __future__ import annotations

import torch


def find_first_device(module: torch.nn.Module) -> torch.device:
    """Return the device on which a model's token embeddings are computed.

    accelerate keeps weights that are moved in on demand as "meta" tensors, whose own device says nothing; the hook
    that it hung on the layer knows.

    Args:
        module: a model of transformers, or what `find_feature_module` returned.
    """
    embeddings = module.get_input_embeddings()  # type: ignore[operator]
    device = embeddings.weight.device
    if device.type == "meta":
        device = torch.device(embeddings._hf_hook.execution_device)
    return device
