"""How much of each square tile of the attention matrix a tree sees."""

from __future__ import annotations

import numpy as np

from vapo.core.tree import Integers, Layout


def count_visible(layout: Layout, tile: int, num_tiles: int) -> Integers:
    """Return the number of pairs (q, k) with q seeing k in each tile of `tile` by `tile`.

    Args:
        layout: the trees.
        tile: edge of a tile, in tokens.
        num_tiles: tiles along each axis; rows behind the last token see nothing.

    Returns:
        Shape (num_tiles, num_tiles), query tiles first.
    """
    edges = np.arange(num_tiles + 1) * tile
    counts = np.zeros((num_tiles, num_tiles), dtype=np.int64)
    for block in layout.blocks:
        queries, keys = _overlaps(block.queries, edges), _overlaps(block.keys, edges)
        if block.causal:
            counts += np.tril(np.outer(queries, keys), -1) + np.diag(queries * (queries + 1) // 2)
        else:
            counts += np.outer(queries, keys)
    return counts


def _overlaps(rows: range, edges: Integers) -> Integers:
    return np.clip(np.minimum(rows.stop, edges[1:]) - np.maximum(rows.start, edges[:-1]), 0, None)
