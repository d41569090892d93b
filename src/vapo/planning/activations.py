"""What a pass through a model keeps in memory, found by making it with tensors that have sizes and no values.

The model's own code runs, forward and backward, on torch's fake tensors: nothing is computed, so that a model of any
size takes seconds, and every family keeps what it keeps. Layers of one kind are alike, so passes through the first
layer, alone and with one of each kind behind it, tell of any number.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.checkpoint import checkpoint
from transformers import AttentionInterface
from transformers.integrations import moe
from transformers.masking_utils import AttentionMaskInterface

from vapo.models.image_features import find_feature_module
from vapo.models.replaced_method import replaced_method
from vapo.models.tree.attention_switch import switched_attention
from vapo.models.tree.packing_obstacles import EXACT_LAYERS
from vapo.planning.tensor_bytes import TensorBytes

KEEPS_ROWS_ALONE = "vapo_outline"
"""An attention that keeps what flash attention keeps: queries, keys, values, outputs, and a number for each row."""
LONGEST_SCAN = 1024
"""Tokens up to which layers without attention are followed, piece by piece; what they keep grows in proportion."""


@dataclass(frozen=True, slots=True)
class PassBytes:
    """The most that a pass holds beside weights and their gradients, in bytes.

    Attributes:
        forward: until its end.
        backward: from then on.
    """

    forward: float
    backward: float

    @property
    def peak(self) -> float:
        """The more of both."""
        return max(self.forward, self.backward)


def measure_text_pass(
    model: Any, num_tokens: int, *, dtype: str | None, autocast: bool, checkpointing: bool
) -> PassBytes:
    """Return what the language model keeps of a row of tokens.

    Args:
        model: on the device `meta`; see `read_model_shape`.
        num_tokens: of the row.
        dtype: of weights and of what is computed ("bfloat16"); None leaves the weights as they are.
        autocast: compute in bfloat16 whatever the weights are.
        checkpointing: keep the inputs of layers alone and compute each again.
    """
    decoder = find_feature_module(model).get_decoder()
    if num_tokens > LONGEST_SCAN and set(_list_types(decoder) or ()) - EXACT_LAYERS:
        how = {"dtype": dtype, "autocast": autocast, "checkpointing": checkpointing}
        half, whole = (measure_text_pass(model, length, **how) for length in (LONGEST_SCAN // 2, LONGEST_SCAN))
        more = (num_tokens - LONGEST_SCAN) / (LONGEST_SCAN // 2)
        return PassBytes(
            whole.forward + more * (whole.forward - half.forward),
            whole.backward + more * (whole.backward - half.backward),
        )
    axes = 3 if "mrope" in str(getattr(decoder.config, "rope_parameters", "")) else 0
    width = decoder.config.hidden_size

    def read(reduced: Any, row: torch.Tensor) -> torch.Tensor:
        positions = torch.zeros((axes, 1, num_tokens) if axes else (1, num_tokens), dtype=torch.long)
        masks = dict.fromkeys(("full_attention", "sliding_attention", *(_list_types(decoder) or ())))
        given = masks if hasattr(decoder.config, "layer_types") else None
        return reduced(inputs_embeds=row, position_ids=positions, attention_mask=given, use_cache=False)[0]

    return _extrapolate(decoder, "layers", (1, num_tokens, width), read, dtype, autocast, checkpointing)


def _extrapolate(
    module: Any,
    name: str,
    shape: tuple[int, ...],
    read: Callable[[Any, torch.Tensor], torch.Tensor],
    dtype: str | None,
    autocast: bool,
    checkpointing: bool,
) -> PassBytes:
    layers, types = getattr(module, name), _list_types(module)
    kinds = [
        (types and types[number], *sorted(tuple(weight.shape) for weight in layer.parameters()))
        for number, layer in enumerate(layers)
    ]

    def measure(*chosen: int) -> PassBytes:
        return _measure(_reduce(module, name, chosen, dtype), shape, read, autocast, checkpointing)

    first = measure(0)
    behind = Counter(kinds[1:])
    with_one = {kind: measure(0, kinds.index(kind, 1)) for kind in behind}
    return PassBytes(
        first.forward + sum(count * (with_one[kind].forward - first.forward) for kind, count in behind.items()),
        first.backward + sum(count * (with_one[kind].backward - first.backward) for kind, count in behind.items()),
    )


def _list_types(module: Any) -> list[str] | None:
    return getattr(module.config, "layer_types", None)


def _reduce(module: Any, name: str, chosen: Sequence[int], dtype: str | None) -> Any:
    """Return a copy with some of the layers alone."""
    layers, types = getattr(module, name), _list_types(module)
    setattr(module, name, torch.nn.ModuleList([layers[number] for number in chosen]))
    try:
        reduced = copy.deepcopy(module)
    finally:
        setattr(module, name, layers)
    reduced.config.num_hidden_layers = len(chosen)
    if types is not None:
        reduced.config.layer_types = [types[number] for number in chosen]
    return reduced if dtype is None else reduced.to(getattr(torch, dtype))


def _measure(
    module: Any,
    shape: tuple[int, ...],
    read: Callable[[Any, torch.Tensor], torch.Tensor],
    autocast: bool,
    checkpointing: bool,
) -> PassBytes:
    module.train()
    for own in module.modules():
        if hasattr(own, "gradient_checkpointing"):
            own.gradient_checkpointing = checkpointing
            own._gradient_checkpointing_func = _checkpoint
    overwrites = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)  # meta weights cannot become fake ones in place
    try:
        with (
            FakeTensorMode(allow_non_fake_inputs=True),
            switched_attention(module.config, KEEPS_ROWS_ALONE),
            replaced_method(moe, "_grouped_mm", _multiply_by_experts),
        ):
            trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
            module.to_empty(device="cpu")
            weights = dict(module.named_parameters())
            for name, weight in weights.items():
                weight.requires_grad_(name in trained)
                weight.grad = torch.empty_like(weight) if name in trained else None
            dtype = next(iter(weights.values())).dtype
            row = torch.empty(shape, dtype=dtype).requires_grad_()
            bytes_ = TensorBytes()
            there = [*weights.values(), *(w.grad for w in weights.values() if w.grad is not None), *module.buffers()]
            before = bytes_.add(there)
            bytes_.add([row])
            with bytes_:
                with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                    output = read(module, row)
                forward = bytes_.peak
                bytes_.peak = 0
                output.backward(torch.empty_like(output))
            return PassBytes(forward - before, bytes_.peak - before)
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(overwrites)


def _checkpoint(function: Any, *args: Any) -> Any:
    return checkpoint(function, *args, use_reentrant=False)


class _KeepRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        rows, heads, length, _ = query.shape
        output = query.new_empty((rows, length, heads, value.shape[-1])).transpose(1, 2)
        ctx.save_for_backward(query, key, value, output, query.new_empty(query.shape[:3], dtype=torch.float32))
        return output

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        query, key, value, _, _ = ctx.saved_tensors
        return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)


def _attend(
    module: torch.nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any, **__: Any
) -> tuple[torch.Tensor, None]:
    if torch.is_autocast_enabled("cpu"):
        query, key, value = (x.to(torch.get_autocast_dtype("cpu")) for x in (query, key, value))
    return _KeepRows.apply(query, key, value).transpose(1, 2).contiguous(), None


class _KeepGroups(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, experts: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(rows, experts)
        return rows.new_empty((len(rows), experts.shape[-1]))

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        rows, experts = ctx.saved_tensors
        return torch.empty_like(rows), torch.empty_like(experts)


def _multiply_by_experts(rows: torch.Tensor, experts: torch.Tensor, offs: torch.Tensor) -> torch.Tensor:
    """Stand in for transformers' product of each expert and its rows, which has none of float32 without values."""
    return _KeepGroups.apply(rows.to(experts.dtype), experts)


AttentionInterface.register(KEEPS_ROWS_ALONE, _attend)
AttentionMaskInterface.register(KEEPS_ROWS_ALONE, lambda *_, **__: None)
