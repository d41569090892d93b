"""Measured numbers that say how far they can be trusted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from vapo.core.intervals import (
    bootstrap_mean_interval,
    clustered_interval,
    resample_scores,
    sign_flip_p_value,
    t_interval,
    wilson_interval,
)

CONFIDENCE = 0.95
RESAMPLES = 4000
FEW = 100
"""Images below which a mean gets Student's interval: of so few, the percentile bootstrap's is too narrow."""

_RESAMPLING, _FLIPPING = 3, 6  # keep these generators apart from others with the same seed


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over questions and its 95 % interval.

    `low` and `high` are None where an interval cannot be had: values that are all alike, or all of one image, do not
    tell how they scatter.
    """

    value: float
    low: float | None
    high: float | None
    num_questions: int


def estimate_rate(outcomes: Sequence[bool], images: Sequence[str] | None = None) -> Estimate:
    """Estimate how often something holds, one outcome per question, with Wilson's interval.

    Args:
        outcomes: at least one.
        images: per question, what it is about; questions about the same image are not independent, and the interval
            is then that of `clustered_interval`. None if no two questions share one.

    Raises:
        ValueError: there are no outcomes.
    """
    rate = sum(outcomes) / len(outcomes) if outcomes else 0.0
    sums_G, counts_G = _group(outcomes, images)
    if len(counts_G) == len(outcomes):
        low, high = wilson_interval(sum(outcomes), len(outcomes), CONFIDENCE)
    else:
        low, high = clustered_interval(sums_G, counts_G, CONFIDENCE)
    return Estimate(rate, low, high, len(outcomes))


def estimate_share(values: Sequence[float], *, seed: int, name: str, images: Sequence[str] | None = None) -> Estimate:
    """Estimate a mean of shares, one in [0, 1] per question; otherwise as `estimate_mean`.

    Shares that are all 0 or all 1 get Wilson's interval, in which each image counts as one trial.
    """
    if set(values) <= {0.0} or set(values) <= {1.0}:
        return estimate_rate([value == 1 for value in values], images)
    return _limit(estimate_mean(values, seed=seed, name=name, images=images), 0.0, 1.0)


def estimate_mean(values: Sequence[float], *, seed: int, name: str, images: Sequence[str] | None = None) -> Estimate:
    """Estimate a mean: with the percentile bootstrap over images, and with Student's interval if they are `FEW`.

    Args:
        values: one per question; what is measured several times on one question comes as its mean, because answers
            about one image or response are not independent.
        seed: of the resampling.
        name: of what is measured; numbers with different names are resampled independently.
        images: per question, what it is about; None if no two questions share one.

    Raises:
        ValueError: there are no values, or one is not finite.
    """
    sums_G, counts_G = _group(values, images)
    rng = np.random.default_rng([_RESAMPLING, seed, crc32(name.encode())])

    def resample() -> tuple[float, float]:
        if len(counts_G) == len(values):
            return bootstrap_mean_interval(values, rng, CONFIDENCE, RESAMPLES)
        return bound_draws(resample_scores(sums_G[:, None], counts_G[:, None], rng, RESAMPLES))

    if len(values) > 0 and min(values) == max(values):
        return Estimate(float(values[0]), None, None, len(values))
    mean = float(np.mean(values)) if len(values) else 0.0
    parts_G = (sums_G - mean * counts_G) / max(len(values), 1)
    if len(parts_G) == 1 or (len(parts_G) < len(values) and np.allclose(parts_G, 0)):
        return Estimate(mean, None, None, len(values))
    return Estimate(mean, *bound_score(mean, parts_G, resample), len(values))


def estimate_difference(
    values: Sequence[float], *, seed: int, name: str, images: Sequence[str] | None = None, most: float = math.inf
) -> Estimate:
    """Estimate a mean of paired differences as `estimate_mean`, with an interval that agrees with an exact test.

    Args:
        values, seed, name, images: as for `estimate_mean`.
        most: the greatest size of a difference, such as 1 of shares.
    """
    estimate = estimate_mean(values, seed=seed, name=name, images=images)
    return _limit(reach_zero(estimate, _group(values, images)[0], seed=seed, name=name), -most, most)


def bound_score(
    score: float, parts_G: NDArray[np.float64], resample: Callable[[], tuple[float, float]]
) -> tuple[float, float]:
    """Return the interval of a score of groups: Student's if they are `FEW`, else by resampling.

    Args:
        score: a mean, or a ratio of sums.
        parts_G: what each group adds to it, to first order, less the mean of that; they sum to 0.
        resample: gives the interval of many groups.
    """
    if len(parts_G) >= FEW:
        return resample()
    return t_interval(score + len(parts_G) * parts_G, CONFIDENCE)


def bound_draws(draws: NDArray[np.float64]) -> tuple[float, float]:
    """Return the percentile interval of resampled scores."""
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def reach_zero(change: Estimate, parts_G: Sequence[float] | NDArray[np.float64], *, seed: int, name: str) -> Estimate:
    """Widen the interval of a difference to 0 unless an exact test, too, tells it from 0.

    A bootstrap takes four questions gained and none lost for a difference whatever the number of questions; the sign
    test gives that a probability of 1/8.

    Args:
        change: the difference.
        parts_G: what each independent group adds to it; only their ratios matter.
        seed, name: as for `estimate_mean`.
    """
    if change.low is None or change.high is None:
        low, high, far = change.value, change.value, 2 * change.value
    else:
        low, high, far = change.low, change.high, change.value
    if low <= 0 <= high:
        return change
    rng = np.random.default_rng([_FLIPPING, seed, crc32(name.encode())])
    if sign_flip_p_value(parts_G, rng) < 1 - CONFIDENCE:
        return change
    return Estimate(change.value, min(low, far, 0.0), max(high, far, 0.0), change.num_questions)


def _limit(estimate: Estimate, least: float, most: float) -> Estimate:
    if estimate.low is None or estimate.high is None:
        return estimate
    return Estimate(estimate.value, max(estimate.low, least), min(estimate.high, most), estimate.num_questions)


def _group(values: Sequence[float], images: Sequence[str] | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return, per image, the sum of its values and their number."""
    flat = np.asarray(values, dtype=np.float64)
    if images is None or len(set(images)) == len(images):
        return flat, np.ones(len(flat))
    if len(images) != len(values):
        raise ValueError(f"there are {len(values)} values but {len(images)} images; name one image per value")
    _, number_N = np.unique(np.asarray(images), return_inverse=True)
    counts_G = np.zeros(int(number_N.max()) + 1)
    sums_G = np.zeros_like(counts_G)
    np.add.at(counts_G, number_N, 1)
    np.add.at(sums_G, number_N, flat)
    return sums_G, counts_G
