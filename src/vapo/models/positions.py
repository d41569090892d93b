"""Positions of a rollout tree's tokens, for families that count them in one dimension and in three (M-RoPE)."""

from __future__ import annotations

import inspect
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from transformers.modeling_rope_utils import RopeParameters

from vapo.models.images import ImageInputs

_ROTATIONS = {"default", "linear", "llama3", "proportional", "yarn"}
"""Kinds of rotary positions whose attention knows distances alone; "dynamic" and "longrope" know lengths as well."""
_OF_ROTATION = {*RopeParameters.__annotations__, "mrope_section", "mrope_interleaved"}


def trunk_positions(
    module: Any, prompt_ids: torch.Tensor, image_tokens: torch.Tensor, images: ImageInputs | None
) -> torch.Tensor:
    """Return the positions that the model itself gives a prompt; shape (axes, P), one axis or three.

    Args:
        module: what `find_feature_module` returned.
        prompt_ids: shape (P,).
        image_tokens: 1 where the prompt holds an image token; shape (P,).
        images: the prompt's images, if it has any.
    """
    if not hasattr(module, "get_rope_index"):
        return torch.arange(len(prompt_ids), device=prompt_ids.device)[None]
    known = {"mm_token_type_ids": image_tokens[None], **(images.tensors if images is not None else {})}
    parameters = inspect.signature(module.get_rope_index).parameters
    positions, _ = module.get_rope_index(
        prompt_ids[None], **{name: value for name, value in known.items() if name in parameters}
    )
    return positions[:, 0]


def tree_positions(trunk: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
    """Return the positions of all of a tree's tokens; shape (axes, N).

    Text counts on from the largest position of the prompt, equally along all axes. A token's place in the packed row
    plays no part, only how many tokens lie before it on its own path.

    Args:
        trunk: positions of the prompt's P tokens, shape (axes, P).
        depth: tokens before each token on its path; the prompt's come first; shape (N,).
    """
    behind = depth[trunk.shape[1] :] - trunk.shape[1] + 1
    return torch.cat([trunk, (trunk.max() + behind).expand(trunk.shape[0], -1)], dim=1)


@contextmanager
def positions_behind_padding(module: Any) -> Generator[None]:
    """Count positions from a row's first token, and not from its padding, where that makes a difference to a model.

    transformers counts padding in every forward pass that is given no positions, though not while it generates. To
    attention that knows distances alone this is the same. Ministral 3 also scales queries by their positions.

    Args:
        module: what `find_feature_module` returned; passes inside the context have their padding on the left.
    """
    counts_itself = (
        hasattr(module, "get_rope_index") or "position_ids" not in inspect.signature(module.forward).parameters
    )
    if counts_itself or _knows_distances_alone(module.get_decoder().config):
        yield
        return

    def add_positions(_module: Any, args: Any, inputs: dict[str, Any]) -> Any:
        mask = inputs.get("attention_mask")
        if inputs.get("position_ids") is None and isinstance(mask, torch.Tensor):
            inputs["position_ids"] = (mask.long().cumsum(-1) - 1).clamp(min=0)
        return args, inputs

    handle = module.register_forward_pre_hook(add_positions, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def _knows_distances_alone(config: Any) -> bool:
    stated: dict[str, Any] = getattr(config, "rope_parameters", None) or {}
    by_layer: list[dict[str, Any]] = [own for own in stated.values() if isinstance(own, dict)] or [stated]
    rotates = all(own.get("rope_type") in _ROTATIONS and _OF_ROTATION.issuperset(own) for own in by_layer)
    return rotates and not getattr(config, "attn_temperature_tuning", False)
