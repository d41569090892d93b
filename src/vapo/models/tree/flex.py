"""Attention over a rollout tree on CUDA: one FlexAttention call whose block mask is made from the tree's ranges."""

from __future__ import annotations

from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from vapo.core.tiles import count_visible
from vapo.models.tree.mask import TreeMask

TILE = 128
SMALLEST_SIZE = 1024
GROWTH = 1.25
"""A size class is larger than the one below it by at most this factor, so at most a fifth of a row is filling."""
MAX_KERNELS = 512
"""Size classes up to 131,072 tokens are 24; each is compiled for every window, precision and shape of heads, with
gradients and without. Beyond the limit, torch would go on uncompiled, without a word and with the whole matrix of
scores; here it is an error."""


def attend_with_flex(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: TreeMask,
    scale: float,
    attend: Any = None,
) -> torch.Tensor:
    """Return the attention output, shape (1, heads, N, head_dim).

    The row is filled up to a size class (`find_size_class`) with tokens that see nothing, so that a kernel is compiled
    once for each class and not for each number of tokens.

    Args:
        query: shape (1, heads, N, head_dim).
        key: shape (1, key_heads, N, head_dim).
        value: as `key`.
        mask: the tree.
        scale: factor of the scores.
        attend: FlexAttention itself, compiled or not; default: compiled.

    Raises:
        torch._dynamo.exc.FailOnRecompileLimitHit: more than `MAX_KERNELS` were compiled.
    """
    length = query.shape[2]
    block_mask = _block_mask_of(mask)
    padded = block_mask.seq_lengths[0]
    if padded > length:
        query, key, value = (torch.nn.functional.pad(x, (0, 0, 0, padded - length)) for x in (query, key, value))
    attend = attend or compile_flex()
    with torch._dynamo.config.patch(recompile_limit=MAX_KERNELS, accumulated_recompile_limit=MAX_KERNELS):
        output = attend(
            query, key, value, block_mask=block_mask, scale=scale, enable_gqa=query.shape[1] != key.shape[1]
        )
    return output[:, :, :length]


@cache
def compile_flex(backend: Any = "inductor") -> Any:
    """Return FlexAttention as compiled, one kernel for each kind of input; it raises where it would run uncompiled."""
    return torch.compile(flex_attention, dynamic=False, fullgraph=True, backend=backend)


def find_size_class(num_tokens: int) -> int:
    """Return the number of tokens that a row is filled up to: a quarter more at most, from 1,024 on."""
    size = SMALLEST_SIZE
    while size < num_tokens:
        size = max(size + TILE, int(size * GROWTH) // TILE * TILE)
    return size


def make_block_mask(mask: TreeMask) -> BlockMask:
    """Return the FlexAttention mask of a tree: which tiles are empty, partly seen, or seen whole."""
    layout = mask.layout
    length = layout.num_tokens
    padded = find_size_class(length)
    num_tiles = padded // TILE
    counts = torch.from_numpy(count_visible(layout, TILE, num_tiles)).to(mask.device)
    whole = counts == TILE * TILE if mask.window is None else torch.zeros_like(counts, dtype=torch.bool)
    partly = (counts > 0) & ~whole

    def padded_to(values: Any, fill: int) -> torch.Tensor:
        tensor = torch.full((padded,), fill, dtype=torch.long, device=mask.device)
        tensor[:length] = torch.from_numpy(values).to(mask.device)
        return tensor

    entry, exit, depth = padded_to(layout.entry, -1), padded_to(layout.exit, -1), padded_to(layout.depth, 0)

    def sees(_b: torch.Tensor, _h: torch.Tensor, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        seen = (entry[k] <= entry[q]) & (entry[q] < exit[k])
        return seen if mask.window is None else seen & (depth[q] - depth[k] < mask.window)

    return BlockMask.from_kv_blocks(
        *_ordered(partly), *_ordered(whole), BLOCK_SIZE=TILE, mask_mod=sees, seq_lengths=(padded, padded)
    )


def _ordered(tiles: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return, for each row of tiles, how many are chosen and the columns, chosen ones first; with axes (1, 1, ...)."""
    numbers = tiles.sum(-1).to(torch.int32)
    columns = tiles.to(torch.int32).argsort(dim=-1, descending=True, stable=True).to(torch.int32)
    return numbers[None, None], columns[None, None]


def _block_mask_of(mask: TreeMask) -> BlockMask:
    if mask not in _block_masks:
        _block_masks[mask] = make_block_mask(mask)
    return _block_masks[mask]


_block_masks: WeakKeyDictionary[TreeMask, BlockMask] = WeakKeyDictionary()  # one for all layers that share a mask
