"""Positions of a rollout tree's tokens, for families that count them in one dimension and in three (M-RoPE)."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from vapo.models.images import ImageInputs


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
