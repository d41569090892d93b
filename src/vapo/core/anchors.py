"""Where a response is looked at: anchors drawn among its logical boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from vapo.core.boundaries import THINK_TAGS, find_boundaries
from vapo.types import Anchor

Placement = Literal["random", "uniform", "front", "back"]


def place_anchors(
    token_texts: Sequence[str],
    num_anchors: int,
    rng: np.random.Generator,
    *,
    placement: Placement = "random",
    tags: tuple[str, str] = THINK_TAGS,
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
        tags: what opens and what closes the thinking part.

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
    boundaries = np.asarray(find_boundaries(token_texts, tags), dtype=np.int64)
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


def snap_anchors(
    token_texts: Sequence[str], relative_ranks: Sequence[float], tags: tuple[str, str] = THINK_TAGS
) -> tuple[Anchor, ...]:
    """Move relative ranks to a response's logical boundaries, each to one of those that are not taken yet.

    boundary k = the floor(u_k n_k)-th of the n_k that are left, counted from 0 in the order of the response. With the
    same u, drawn independently and uniformly, responses of a group are probed at boundaries of nearly the same
    relative ranks, and the anchors of each are distributed as `place_anchors` draws them at random.

    Args:
        token_texts: what each completion token adds to the text.
        relative_ranks: u, each in [0, 1): 0 is the first boundary, just below 1 the last.
        tags: what opens and what closes the thinking part.

    Returns:
        One anchor per rank, by ascending index. The same one comes several times only where there are fewer
        boundaries than ranks, and then each as often as any other, as far as the numbers allow. () for a response
        without a boundary.

    Raises:
        ValueError: a relative rank is outside [0, 1).
    """
    for k, rank in enumerate(relative_ranks):
        if not 0 <= rank < 1:
            raise ValueError(f"relative rank {k} is {rank}; it must be in [0, 1)")
    boundaries = find_boundaries(token_texts, tags)
    chosen: list[int] = []
    left: list[int] = []
    for rank in relative_ranks if boundaries else ():
        left = left or list(boundaries)
        chosen.append(left.pop(int(rank * len(left))))
    return tuple(Anchor(index=index, depth=index / len(token_texts)) for index in sorted(chosen))
