"""Where a response is looked at: anchors drawn among its logical boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from vapo.core.boundaries import find_boundaries, find_thinking_part
from vapo.types import Anchor

Placement = Literal["random", "uniform", "front", "back"]


def place_anchors(
    token_texts: Sequence[str],
    num_anchors: int,
    rng: np.random.Generator,
    *,
    placement: Placement = "random",
) -> tuple[Anchor, ...]:
    """Place anchors on logical boundaries of the thinking part.

    As many as asked for, or as there are boundaries. Placements:

    - random: every set of that size is equally likely;
    - uniform: evenly spaced among the boundaries;
    - front: the first boundaries;
    - back: the last boundaries.

    Args:
        token_texts: what each completion token adds to the text.
        num_anchors: K of the paper, at least 0.
        rng: the generator that random placement draws from; the others do not touch it.
        placement: how anchors are chosen among the boundaries.

    Returns:
        Anchors by ascending index, all different; () for a response without a boundary.

    Raises:
        ValueError: a number is out of its range or the placement is unknown.

    Source: arXiv 2509.25848, Section 4 (random) and its ablation of placements.
    """
    if num_anchors < 0:
        raise ValueError(f"num_anchors is {num_anchors}; it must be 0 or more")
    if placement not in get_args(Placement):
        raise ValueError(f"placement {placement!r} is unknown; choose one of {', '.join(get_args(Placement))}")
    boundaries = np.asarray(find_boundaries(token_texts), dtype=np.int64)
    total = len(boundaries)
    count = min(num_anchors, total)
    match placement:
        case "random":
            chosen = np.sort(rng.choice(boundaries, size=count, replace=False))
        case "uniform":
            # The middles of `count` equal runs of boundaries.
            chosen = (
                boundaries[[(2 * k + 1) * total // (2 * count) for k in range(count)]] if count else boundaries[:0]
            )
        case "front":
            chosen = boundaries[:count]
        case "back":
            chosen = boundaries[total - count :]
    return tuple(Anchor(index=int(index), depth=int(index) / len(token_texts)) for index in chosen)


def snap_anchors(token_texts: Sequence[str], depths: Sequence[float]) -> tuple[Anchor, ...]:
    """Move relative depths of the thinking part to the nearest logical boundaries.

    Lets all completions of a group be probed at the same relative depths.

    Args:
        token_texts: what each completion token adds to the text.
        depths: each in (0, 1]: 0 is the start of the thinking part, 1 its end.

    Returns:
        One anchor per depth, in the order of the depths, possibly the same one several times (of two equally near
        boundaries, the earlier); () for a response without a boundary.

    Raises:
        ValueError: a depth is outside (0, 1].
    """
    for k, depth in enumerate(depths):
        if not 0 < depth <= 1:
            raise ValueError(f"depth {k} is {depth}; it must be in (0, 1], a part of the thinking part")
    boundaries = np.asarray(find_boundaries(token_texts), dtype=np.int64)
    if not boundaries.size:
        return ()
    start, stop = find_thinking_part(token_texts)
    nearest = (int(boundaries[np.abs(boundaries - (start + depth * (stop - start))).argmin()]) for depth in depths)
    return tuple(Anchor(index=index, depth=index / len(token_texts)) for index in nearest)
