"""Group-relative advantages, in one part or in two, and which groups carry any."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Scale = Literal["group", "batch", "none"]
Aggregation = Literal["sum_then_normalize", "normalize_then_sum"]

SPREAD_FLOOR: Final = 0.05
"""Spread of perception rewards, in [0, 1], below which `perception_advantages` does not enlarge differences."""


def group_advantages(
    rewards: ArrayLike, group_size: int, scale: Scale = "group", eps: float = 1e-4
) -> NDArray[np.float64]:
    """Compare each completion with the others of its group.

    A_i = (r_i - mean(group)) / (std + eps), std with Bessel's correction (divided by n - 1) over the group or over
    the whole batch; A_i = r_i - mean(group) with scale "none". A reward that is NaN counts as absent: it takes no
    part in mean and std, and its advantage is 0. A group of one completion has std 0, hence advantage 0.

    Args:
        rewards: shape (groups * group_size,), the completions of a group next to each other.
        group_size: completions per group, G of the paper, at least 1.
        scale: what the differences are divided by.
        eps: keeps the division finite where all rewards of a group agree, at least 0.

    Returns:
        Advantages, same shape as the rewards.

    Raises:
        ValueError: the rewards do not fill whole groups, a value is infinite, or the scale is unknown.

    Source: arXiv 2402.03300, Section 4.1; estimator and eps as in TRL 1.16.
    """
    flat = np.asarray(rewards, dtype=np.float64)
    if group_size < 1 or flat.ndim != 1 or flat.size % group_size:
        raise ValueError(f"rewards of shape {flat.shape} do not fill groups of {group_size}; pass whole groups only")
    if np.isinf(flat).any():
        raise ValueError("a reward is infinite; rewards must be finite, or NaN where there is none")
    if scale not in get_args(Scale):
        raise ValueError(f"scale {scale!r} is unknown; choose one of {', '.join(get_args(Scale))}")
    rewards_NG = flat.reshape(-1, group_size)
    advantages_NG = rewards_NG - _mean(rewards_NG)
    if scale == "group":
        advantages_NG = _divide(advantages_NG, _std(rewards_NG) + eps)
    elif scale == "batch":
        advantages_NG = _divide(advantages_NG, _std(flat[None]) + eps)
    return np.where(np.isnan(advantages_NG), 0.0, advantages_NG).reshape(-1)


def combined_advantages(
    rewards_NF: ArrayLike,
    weights_F: ArrayLike,
    group_size: int,
    scale: Scale = "group",
    aggregation: Aggregation = "sum_then_normalize",
    eps: float = 1e-4,
) -> NDArray[np.float64]:
    """Compare each completion with the others of its group by several rewards.

    "sum_then_normalize" compares the weighted sums (`group_advantages`). "normalize_then_sum" compares by each reward
    within the group, weighs and adds these up, and normalises the sums over the batch; `scale` plays no part in it. A
    completion that no reward scores has advantage 0.

    Args:
        rewards_NF: F rewards of N completions, the completions of a group next to each other; NaN where there is none.
        weights_F: of the rewards.
        group_size: completions per group, at least 1.
        scale: what differences are divided by.
        aggregation: which comes first.
        eps: keeps divisions finite, at least 0.

    Returns:
        Advantages, shape (N,).

    Raises:
        ValueError: as of `group_advantages`, or the aggregation is unknown.

    Source: `GRPOTrainer` of TRL 1.16; "normalize_then_sum" is GDPO's, arXiv 2601.05242.
    """
    rewards = np.asarray(rewards_NF, dtype=np.float64)
    weights = np.asarray(weights_F, dtype=np.float64)
    if aggregation not in get_args(Aggregation):
        raise ValueError(f"aggregation {aggregation!r} is unknown; choose one of {', '.join(get_args(Aggregation))}")
    unscored = np.isnan(rewards).all(axis=1)
    if aggregation == "sum_then_normalize":
        return group_advantages(
            np.where(unscored, np.nan, np.nansum(rewards * weights, axis=1)), group_size, scale, eps
        )
    normalised = np.stack([group_advantages(column, group_size, "group", eps) for column in rewards.T], axis=1)
    sums = np.where(unscored, np.nan, (normalised * weights).sum(axis=1))
    return group_advantages(sums, max(len(sums), 1), "group", eps)


def perception_advantages(
    perceptions: Sequence[float | None], gates: Sequence[float], floor: float = SPREAD_FLOOR
) -> NDArray[np.float64]:
    """Compare the perception rewards of those completions of a group that the gate lets through.

    A_i = g_i (p_i - m) / max(s, floor), with m and s the mean and the standard deviation (divided by n - 1) of p over
    the completions with g_i > 0 and a perception reward. All others get 0, and so does one that is alone.

    Args:
        perceptions: p_i, perception rewards in [0, 1] of one group; None where nothing was probed.
        gates: g_i, the parts of them that the gate lets through, in [0, 1].
        floor: spread below which differences are not enlarged, above 0. Twenty hard verdicts of which nine in ten are
            right spread by 0.07 by chance alone.

    Returns:
        One number for each completion, in units of the spread.
    """
    values = np.array([np.nan if one is None else one for one in perceptions], dtype=np.float64)
    weights = np.asarray(gates, dtype=np.float64)
    values[weights <= 0] = np.nan
    differences = (values - _mean(values[None])[0]) / max(float(_std(values[None])[0, 0]), floor)
    return weights * np.nan_to_num(differences)


def informative_groups(values_by_group: Sequence[Sequence[float]]) -> tuple[int, ...]:
    """Find the groups from which there is something to learn: those whose values are not all equal.

    Args:
        values_by_group: accuracies, or whole rewards, one sequence per group; NaN stands for a completion without
            one, which takes no part.

    Returns:
        Positions of the groups to keep, in order.

    Source: dynamic sampling of DAPO, arXiv 2503.14476, Section 3.2.
    """
    different = [{float(a) for a in values if not math.isnan(a)} for values in values_by_group]
    return tuple(group for group, values in enumerate(different) if len(values) > 1)


Outcome = Literal["all_right", "mixed", "all_wrong"]


def group_outcome(accuracies: Sequence[float], threshold: float = 1.0) -> Outcome:
    """Return how the answers of a group came out; right is an accuracy of `threshold` or more, NaN counts as wrong."""
    right = sum(accuracy >= threshold for accuracy in accuracies)
    return "all_wrong" if right == 0 else "all_right" if right == len(accuracies) else "mixed"


def squared_shares(
    advantages: ArrayLike, accuracies: Sequence[float], group_size: int, threshold: float = 1.0
) -> dict[Outcome, float] | None:
    """Return how much of the squared advantage comes from groups of each outcome; None if all advantages are 0.

    Args:
        advantages: shape (groups * group_size,).
        accuracies: as many.
        group_size: completions per group.
        threshold: the least accuracy of a right answer.
    """
    squares = (np.asarray(advantages, dtype=np.float64) ** 2).reshape(-1, group_size).sum(axis=1)
    if not squares.sum() > 0:
        return None
    outcomes = [
        group_outcome(accuracies[first : first + group_size], threshold)
        for first in range(0, len(accuracies), group_size)
    ]
    return {
        outcome: float(sum(square for square, own in zip(squares, outcomes, strict=True) if own == outcome))
        / float(squares.sum())
        for outcome in get_args(Outcome)
    }


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    present = ~np.isnan(values)
    count = np.maximum(present.sum(axis=1, keepdims=True), 1)
    return np.where(present, values, 0.0).sum(axis=1, keepdims=True) / count


def _std(values: NDArray[np.float64]) -> NDArray[np.float64]:
    present = ~np.isnan(values)
    squares = np.where(present, values - _mean(values), 0.0) ** 2
    return np.sqrt(squares.sum(axis=1, keepdims=True) / np.maximum(present.sum(axis=1, keepdims=True) - 1, 1))


def _divide(values: NDArray[np.float64], by: NDArray[np.float64]) -> NDArray[np.float64]:
    # With eps = 0 a group without differences is 0 / 0; it has nothing to say, so 0.
    return np.divide(values, by, out=np.zeros_like(values), where=by > 0)
