"""Where a chain is looked at: anchors drawn among its logical boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vapo.core.boundaries import find_boundaries, find_thinking_part
from vapo.types import Anchor

Placement = Literal["random", "uniform", "front", "back"]


def place_anchors(
    token_texts: Sequence[str],
    num_anchors: int,
    rng: np.random.Generator,
    *,
    placement: Placement = "random",
    min_distance: int = 1,
) -> tuple[Anchor, ...]:
    """Place anchors on logical boundaries of the thinking part.

    As many as asked for, or as many as fit where boundaries are fewer or closer than `min_distance`. Placements:

    - random: every admissible set of that size is equally likely;
    - uniform: evenly spaced among the boundaries;
    - front: the first boundaries;
    - back: the last boundaries.

    Args:
        token_texts: what each completion token adds to the text.
        num_anchors: K of the paper, at least 0.
        rng: the generator that random placement draws from; the others do not touch it.
        placement: how anchors are chosen among the boundaries.
        min_distance: least distance of neighbouring anchors, in tokens, at least 1.

    Returns:
        Anchors by ascending index, all different; () for a chain without a boundary.

    Raises:
        ValueError: a number is out of its range or the placement is unknown.

    Source: arXiv 2509.25848, Section 4 (random) and its ablation of placements.
    """
    if num_anchors < 0:
        raise ValueError(f"num_anchors is {num_anchors}; it must be 0 or more")
    if min_distance < 1:
        raise ValueError(f"min_distance is {min_distance}; it must be at least 1 token")
    if placement not in get_args(Placement):
        raise ValueError(f"placement {placement!r} is unknown; choose one of {', '.join(get_args(Placement))}")
    boundaries = np.asarray(find_boundaries(token_texts), dtype=np.int64)
    spaced = _thin(boundaries, min_distance)
    count = min(num_anchors, len(spaced))
    match placement:
        case "random":
            chosen = _draw(boundaries, count, min_distance, rng)
        case "uniform":
            # The middles of `count` equal runs of boundaries.
            chosen = spaced[[(2 * k + 1) * len(spaced) // (2 * count) for k in range(count)]] if count else spaced[:0]
        case "front":
            chosen = spaced[:count]
        case "back":
            chosen = -_thin(-boundaries[::-1], min_distance)[:count][::-1]
    return tuple(Anchor(index=int(index), depth=int(index) / len(token_texts)) for index in chosen)


def snap_anchors(token_texts: Sequence[str], depths: Sequence[float]) -> tuple[Anchor, ...]:
    """Move relative depths of the thinking part to the nearest logical boundaries.

    Lets all completions of a group be probed at the same relative depths.

    Args:
        token_texts: what each completion token adds to the text.
        depths: each in (0, 1]: 0 is the start of the thinking part, 1 its end.

    Returns:
        One anchor per depth, in the order of the depths, possibly the same one several times (of two equally near
        boundaries, the earlier); () for a chain without a boundary.

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


def _thin(boundaries: NDArray[np.int64], min_distance: int) -> NDArray[np.int64]:
    """Keep the first boundary and each next one that is far enough; no admissible set is larger than this one."""
    kept: list[int] = []
    for boundary in boundaries.tolist():
        if not kept or boundary - kept[-1] >= min_distance:
            kept.append(boundary)
    return np.asarray(kept, dtype=np.int64)


def _draw(boundaries: NDArray[np.int64], count: int, min_distance: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw one of the sets of `count` boundaries at least `min_distance` apart, all equally likely.

    Drawing boundaries one by one and striking out their neighbours would favour some sets, and could strike out so
    many that fewer than `count` fit. Counting avoids both: with sets[k][j] the number of admissible sets of k
    boundaries among j, j+1, ..., boundary j belongs to the set with probability
    sets[k-1][first boundary far enough from j] / sets[k][j].
    """
    if min_distance == 1:
        return np.sort(rng.choice(boundaries, size=count, replace=False))
    far_enough = np.searchsorted(boundaries, boundaries + min_distance)
    log_sets = np.zeros(len(boundaries) + 1)  # the counts themselves would overflow
    chances: list[NDArray[np.float64]] = []
    for _ in range(count):
        log_with_this = log_sets[far_enough]
        log_sets = np.append(np.logaddexp.accumulate(log_with_this[::-1])[::-1], -np.inf)
        possible = np.isfinite(log_with_this)
        chances.append(np.exp(np.where(possible, log_with_this - np.where(possible, log_sets[:-1], 0.0), -np.inf)))
    chosen: list[int] = []
    place = 0
    luck = rng.random(len(boundaries))
    for chance in reversed(chances):
        # Where too few boundaries remain to wait any longer, the chance is exactly 1, so the draw never falls short.
        while luck[place] >= chance[place]:
            place += 1
        chosen.append(int(boundaries[place]))
        place = int(far_enough[place])
    return np.asarray(chosen, dtype=np.int64)
