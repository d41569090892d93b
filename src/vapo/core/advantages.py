"""Group-relative advantages, and which groups carry any."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Scale = Literal["group", "batch", "none"]


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


def informative_groups(accuracies_by_group: Sequence[Sequence[float]]) -> tuple[int, ...]:
    """Find the groups from which there is something to learn: those whose raw accuracies are not all equal.

    Accuracy, not the shaped reward: bonuses always differ a little, and the division by their tiny deviation would
    blow the differences up.

    Args:
        accuracies_by_group: one sequence of accuracies per group; NaN stands for a completion without one, which
            takes no part.

    Returns:
        Positions of the groups to keep, in order.

    Source: dynamic sampling of DAPO, arXiv 2503.14476, Section 3.2.
    """
    different = [{float(a) for a in accuracies if not math.isnan(a)} for accuracies in accuracies_by_group]
    return tuple(group for group, accuracies in enumerate(different) if len(accuracies) > 1)


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
