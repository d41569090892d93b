"""What keeps a model from being packed exactly, found before the first forward pass and said by name."""

from __future__ import annotations

from typing import Any

import torch

from vapo.errors import ModelError
from vapo.models.image_features import find_feature_module

EXACT_LAYERS = {"full_attention", "sliding_attention"}
OUTPUT_SCALES = ("final_logit_softcapping", "logit_scale", "output_multiplier", "lm_head_multiplier", "logits_scaling")
"""Options by which a family changes logits behind its output layer; only the model's own forward applies them."""


def find_packing_obstacle(model: torch.nn.Module) -> str | None:
    """Return why `model` cannot read a rollout tree exactly, or None if it can."""
    module = find_feature_module(model)
    name = type(module).__name__
    if getattr(module.config, "is_encoder_decoder", False):
        return f"{name} reads its prompt with an encoder"
    decoder = module.get_decoder()
    config = decoder.config
    if not getattr(decoder, "_supports_attention_backend", False):
        return f"{type(decoder).__name__} does not take its attention from transformers' AttentionInterface"
    foreign = set(getattr(config, "layer_types", None) or ()) - EXACT_LAYERS
    if foreign:
        return f"{type(decoder).__name__} has layers of the kind {', '.join(sorted(foreign))}"
    if getattr(config, "attn_logit_softcapping", None):
        return f"{type(decoder).__name__} caps its attention scores"
    if getattr(config, "attention_dropout", 0.0):
        return f"{type(decoder).__name__} drops attention weights at random (attention_dropout)"
    scaled = [option for option in OUTPUT_SCALES if getattr(config, option, None) is not None]
    if scaled:
        return f"{type(decoder).__name__} changes its logits afterwards ({', '.join(scaled)})"
    return None


def check_packing(model: Any) -> None:
    """Raise ModelError where `find_packing_obstacle` finds one."""
    obstacle = find_packing_obstacle(model)
    if obstacle is not None:
        raise ModelError(f"{obstacle}, so it cannot be packed exactly; use packing='off'")
