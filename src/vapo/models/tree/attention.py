"""Attention over a rollout tree, brought into transformers through its public registration.

Inside `tree_attention` a model's text layers get a `TreeMask` in place of an attention mask and call
`attend_to_tree`. Outside it the model is untouched. Rectangles of the tree are attended to one by one and merged by
their log-sum-exp, so no matrix of all tokens by all tokens is ever made: on a CPU with PyTorch's flash kernel, on
other devices with plain matrix products, and on CUDA in one FlexAttention call (`vapo.models.tree.flex`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from vapo.core.tree import Layout
from vapo.errors import ModelError
from vapo.models.image_features import find_feature_module
from vapo.models.tree.attention_switch import switched_attention
from vapo.models.tree.block_attention import BlockAttention
from vapo.models.tree.flex import attend_with_flex
from vapo.models.tree.mask import TreeMask

TREE_ATTENTION = "vapo_tree"

_layout: ContextVar[Layout | None] = ContextVar("layout", default=None)


@contextmanager
def tree_attention(model: torch.nn.Module, layout: Layout) -> Generator[None]:
    """Make `model` read its next inputs, a single row of tokens, as the rollout tree `layout`.

    Gradient checkpointing runs layers again after the context has been left; they still see the tree then.
    """
    decoder = find_feature_module(model).get_decoder()
    config = decoder.config
    checkpointed = [m for m in decoder.modules() if getattr(m, "gradient_checkpointing", False)]
    originals = [module._gradient_checkpointing_func for module in checkpointed]
    token = _layout.set(layout)
    for module, original in zip(checkpointed, originals, strict=True):
        module._gradient_checkpointing_func = _checkpoint_with_tree(original, config)
    try:
        with switched_attention(config, TREE_ATTENTION):
            yield
    finally:
        _layout.reset(token)
        for module, original in zip(checkpointed, originals, strict=True):
            module._gradient_checkpointing_func = original


def attend_to_tree(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: TreeMask,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attend along the paths of a tree; the signature is that of every attention function of transformers.

    Args:
        module: the attention layer.
        query: shape (1, heads, N, head_dim).
        key: shape (1, key_heads, N, head_dim), with heads a multiple of key_heads.
        value: as `key`.
        attention_mask: the tree.
        dropout: must be 0.
        scaling: factor of the scores; default head_dim ** -0.5.
        sliding_window: must agree with the mask's.
        softcap: must be None, as must `s_aux`.

    Returns:
        Output of shape (1, N, heads, head_dim), and None for the weights, which are never made.

    Raises:
        ModelError: the layer does something that attention over a tree cannot express.
    """
    name = type(module).__name__
    if dropout:
        raise ModelError(f"{name} drops attention weights at random")
    if softcap is not None or s_aux is not None:
        raise ModelError(f"{name} caps its scores or attends to sinks")
    slides = sliding_window is not None and sliding_window < attention_mask.layout.num_tokens
    if slides and attention_mask.window != sliding_window:
        raise ModelError(f"{name} slides over {sliding_window} tokens but its mask says {attention_mask.window}")
    if torch.is_autocast_enabled(query.device.type):
        dtype = torch.get_autocast_dtype(query.device.type)
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    if query.is_cuda and attention_mask.fits_flex:
        output = attend_with_flex(query, key, value, attention_mask, scale)
    else:
        output = BlockAttention.apply(query, key, value, attention_mask, scale)
    return output.transpose(1, 2).contiguous(), None


def make_tree_mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    mask_function: Callable[..., torch.Tensor],
    config: Any,
    device: torch.device,
    allow_is_causal_skip: bool = True,
    **_: Any,
) -> TreeMask:
    """Make what a layer gets as its attention mask; the signature is that of every mask function of transformers.

    The model's own rule is asked what is special about it: whether it slides, and whether the tokens of an image see
    each other both ways (Gemma 3), which only ever happens within a trunk.
    """
    layout = _layout.get()
    if layout is None or (batch_size, q_length, kv_length) != (1, layout.num_tokens, layout.num_tokens):
        raise ModelError(f"{TREE_ATTENTION!r} attention reads one row of tokens inside tree_attention alone")

    def rule(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        zero = torch.zeros((), dtype=torch.long, device=device)
        return mask_function(zero, zero, query, key)

    rows = torch.arange(q_length, device=device)
    window = getattr(config, "sliding_window", None)
    slides = window is not None and window < q_length and not bool(rule(rows[-1], rows[-1] - window))
    trunk_masks: dict[int, torch.Tensor] = {}
    if not allow_is_causal_skip:
        for trunk in layout.trunks:
            own = rows[trunk.start : trunk.stop]
            two_way = rule(own[:, None], own[None, :])
            if bool((two_way != TreeMask.window_of(own[:, None] - own[None, :], window if slides else None)).any()):
                trunk_masks[trunk.start] = two_way
    return TreeMask(layout, device, window if slides else None, trunk_masks)


def _checkpoint_with_tree(checkpoint: Callable[..., Any], config: Any) -> Callable[..., Any]:
    @wraps(checkpoint)
    def run(layer: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        def layer_on_tree(*inputs: Any, **options: Any) -> Any:
            with switched_attention(config, TREE_ATTENTION):
                return layer(*inputs, **options)

        return checkpoint(layer_on_tree, *args, **kwargs)

    return run


AttentionInterface.register(TREE_ATTENTION, attend_to_tree)
AttentionMaskInterface.register(TREE_ATTENTION, make_tree_mask)
