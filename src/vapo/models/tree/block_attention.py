r"""Exact attention put together from rectangles of the attention matrix.

A row's keys are split over several blocks b, each attended to alone with output o_b and log-sum-exp l_b. The softmax
over all keys is then::

    l = log sum_b exp(l_b)        o = sum_b exp(l_b - l) o_b

Backward, each block's kernel is given the merged o and l: with the weights exp(s - l) of the whole row it yields
that block's exact share of the gradients. This is how flash attention itself walks over blocks of keys.

A sink is one more score of each head, whose weight goes to no key (gpt-oss): one more block, with output 0 and the
sink for its log-sum-exp.
"""

from __future__ import annotations

from typing import Any

import torch

from vapo.models.image_attention import FLASH_DTYPES
from vapo.models.tree.mask import Square, TreeMask


class BlockAttention(torch.autograd.Function):
    """`apply(query, key, value, mask, scale, sinks)` with (1, heads, N, head_dim) in and out; key heads may be fewer.

    Sinks have the shape (heads,), or are None.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: TreeMask,
        scale: float,
        sinks: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Attend block by block and merge."""
        groups = query.shape[1] // key.shape[1]
        keys, values = _repeat_heads(key, groups), _repeat_heads(value, groups)
        rows_first = (query.shape[0], query.shape[2], query.shape[1], query.shape[3])
        output = query.new_empty(rows_first, dtype=torch.promote_types(query.dtype, torch.float32)).transpose(1, 2)
        lse = query.new_empty(rows_first[:3], dtype=output.dtype).transpose(1, 2)
        for square in mask.squares:
            own_query, own_key, own_value = (_take(x, square) for x in (query, keys, values))
            own, own_lse = _attend(own_query, own_key, own_value, square.mask, scale, causal=square.mask is None)
            _put(output, square, own)
            _put(lse, square, own_lse)
        for block in mask.rectangles:
            own, own_lse = _attend(
                query[:, :, block.queries], keys[:, :, block.keys], values[:, :, block.keys], block.mask, scale
            )
            if block.blind is not None:
                own_lse = own_lse.masked_fill(block.blind, -torch.inf)
            _merge(output[:, :, block.queries], lse[:, :, block.queries], own, own_lse)
        if sinks is not None:
            own_lse = sinks.to(lse.dtype)[None, :, None].expand_as(lse)
            _merge(output, lse, torch.zeros_like(output), own_lse)
        output = output.to(query.dtype)
        ctx.save_for_backward(query, key, value, output, lse, sinks)
        ctx.mask, ctx.scale = mask, scale
        return output

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Add up every block's share of the gradients."""
        query, key, value, output, lse, sinks = ctx.saved_tensors
        grad = grads[0].to(query.dtype)
        groups = query.shape[1] // key.shape[1]
        keys, values = _repeat_heads(key, groups), _repeat_heads(value, groups)
        total = torch.promote_types(query.dtype, torch.float32)
        grad_query, grad_key, grad_value = (torch.empty_like(x, dtype=total) for x in (query, keys, values))
        for square in ctx.mask.squares:
            own_grad = _take(grad, square)
            if square.real is not None:
                own_grad = own_grad * square.real[:, None, :, None]
            own_query, own_key, own_value = (_take(x, square) for x in (query, keys, values))
            shares = _attend_backward(
                own_grad,
                own_query,
                own_key,
                own_value,
                _take(output, square),
                _take(lse, square),
                square.mask,
                ctx.scale,
                causal=square.mask is None,
            )
            for whole, share in zip((grad_query, grad_key, grad_value), shares, strict=True):
                _put(whole, square, share)  # the squares hold every row once
        for block in ctx.mask.rectangles:
            shares = _attend_backward(
                grad[:, :, block.queries],
                query[:, :, block.queries],
                keys[:, :, block.keys],
                values[:, :, block.keys],
                output[:, :, block.queries],
                lse[:, :, block.queries],
                block.mask,
                ctx.scale,
            )
            grad_query[:, :, block.queries] += shares[0]
            grad_key[:, :, block.keys] += shares[1]
            grad_value[:, :, block.keys] += shares[2]
        grad_sinks = None
        if sinks is not None:
            pull = (grad.to(total) * output.to(total)).sum(-1)
            grad_sinks = -(torch.exp(sinks.to(lse.dtype)[None, :, None] - lse) * pull).sum((0, 2)).to(sinks.dtype)
        return (
            grad_query.to(query.dtype),
            _sum_heads(grad_key, groups).to(key.dtype),
            _sum_heads(grad_value, groups).to(value.dtype),
            None,
            None,
            grad_sinks,
        )


def _attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
    causal: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return output (batch, heads, queries, head_dim) and log-sum-exp (batch, heads, queries) of one block."""
    if query.device.type == "cpu" and query.dtype in FLASH_DTYPES:
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, 0.0, causal, attn_mask=_additive(mask, query), scale=scale
        )
    scores = _scores(query, key, mask, scale, causal)
    lse = scores.logsumexp(-1)
    weights = torch.exp(scores - lse[..., None].nan_to_num(neginf=0.0))
    return (weights.to(value.dtype) @ value), lse


def _attend_backward(
    grad: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    output: torch.Tensor,
    lse: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
    causal: bool = False,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return a block's share of the gradients, where `output` and `lse` are those over all blocks."""
    if query.device.type == "cpu" and query.dtype in FLASH_DTYPES:
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
            grad, query, key, value, output, lse, 0.0, causal, attn_mask=_additive(mask, query), scale=scale
        )
    weights = torch.exp(_scores(query, key, mask, scale, causal) - lse[..., None])
    pull = (grad.float() * output.float()).sum(-1, keepdim=True)
    grad_scores = (weights * (grad.float() @ value.float().mT - pull) * scale).to(query.dtype)
    return grad_scores @ key, grad_scores.mT @ query, weights.to(grad.dtype).mT @ grad


def _scores(
    query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None, scale: float, causal: bool
) -> torch.Tensor:
    scores = (query @ key.mT).float() * scale
    if causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    return scores if mask is None else scores.masked_fill(~mask, -torch.inf)


def _additive(mask: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor | None:
    if mask is None:
        return None
    return torch.zeros(mask.shape, dtype=like.dtype, device=like.device).masked_fill(~mask, -torch.inf)


def _merge(output: torch.Tensor, lse: torch.Tensor, own: torch.Tensor, own_lse: torch.Tensor) -> None:
    weight = torch.sigmoid(own_lse - lse)  # exp(own_lse) over the sum of both
    output.lerp_(own.to(output.dtype), weight[..., None])
    lse.copy_(torch.logaddexp(lse, own_lse))


def _take(x: torch.Tensor, square: Square) -> torch.Tensor:
    if isinstance(square.rows, slice):
        return x[:, :, square.rows]
    return x[0][:, square.rows].transpose(0, 1)  # (heads, segments, length, ...) -> (segments, heads, length, ...)


def _put(whole: torch.Tensor, square: Square, own: torch.Tensor) -> None:
    if isinstance(square.rows, slice):
        whole[:, :, square.rows] = own
    else:
        rows, own = _real_rows(square, own)
        whole[0][:, rows] = own.to(whole.dtype)


def _real_rows(square: Square, own: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    assert isinstance(square.rows, torch.Tensor)
    own = own.transpose(0, 1).flatten(1, 2)  # (heads, segments * length, ...)
    rows = square.rows.flatten()
    if square.real is None:
        return rows, own
    real = square.real.flatten()
    return rows[real], own[:, real]


def _repeat_heads(x: torch.Tensor, groups: int) -> torch.Tensor:
    return x if groups == 1 else x.repeat_interleave(groups, dim=1)


def _sum_heads(x: torch.Tensor, groups: int) -> torch.Tensor:
    return x if groups == 1 else x.unflatten(1, (-1, groups)).sum(2)
