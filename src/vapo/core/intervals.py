"""How far a measured rate or mean can be trusted."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

_DRAWS_TOGETHER = 1_000_000  # 8 MB of indices, and as much of values


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Bound a success rate by Wilson's score interval.

    centre = (p + z^2 / 2n) / (1 + z^2 / n); half = z sqrt(p (1 - p) / n + z^2 / 4n^2) / (1 + z^2 / n).
    Unlike the normal interval it stays inside [0, 1] and has width where all trials agree.

    Args:
        successes: 0 to trials.
        trials: independent trials, at least 1.
        confidence: in (0, 1).

    Returns:
        Lower and upper bound of the rate.

    Raises:
        ValueError: a count or the confidence is out of its range.

    Source: Wilson, "Probable inference", JASA 22 (1927).
    """
    if trials < 1:
        raise ValueError(f"an interval needs at least one trial; there are {trials}")
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials is impossible; successes must be 0 to trials")
    z = _z(confidence)
    rate = successes / trials
    scale = 1 + z * z / trials
    centre = (rate + z * z / (2 * trials)) / scale
    half = z * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials)) / scale
    # At 0 and at all successes the bound is exact in theory; rounding must not move it off the rate.
    low = 0.0 if successes == 0 else max(centre - half, 0.0)
    high = 1.0 if successes == trials else min(centre + half, 1.0)
    return low, high


def bootstrap_mean_interval(
    values: ArrayLike, rng: np.random.Generator, confidence: float = 0.95, resamples: int = 10_000
) -> tuple[float, float]:
    """Bound a mean by the percentile bootstrap.

    The values are drawn again with replacement `resamples` times; the bounds are the (1 - confidence) / 2 and
    (1 + confidence) / 2 quantiles of the means. Values must be independent: several answers to one question go in
    as their mean.

    Args:
        values: shape (n,), at least one, finite.
        rng: the generator that the draws come from.
        confidence: in (0, 1).
        resamples: at least 1.

    Returns:
        Lower and upper bound of the mean.

    Raises:
        ValueError: there are no values, a value is not finite, or an argument is out of its range.

    Source: Efron, "Bootstrap methods", Annals of Statistics 7 (1979).
    """
    flat = np.asarray(values, dtype=np.float64)
    if flat.ndim != 1 or flat.size == 0:
        raise ValueError(f"a mean needs a row of at least one value; the values have shape {flat.shape}")
    if not np.isfinite(flat).all():
        raise ValueError("a value is not finite; leave out what could not be measured and say how many that were")
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}; it must be at least 1")
    _z(confidence)
    # As many resamples at a time as keep the memory small; the draws are the same as one by one.
    together = max(1, _DRAWS_TOGETHER // flat.size)
    means = [
        flat[rng.integers(flat.size, size=(min(together, resamples - done), flat.size))].mean(axis=1)
        for done in range(0, resamples, together)
    ]
    low, high = np.quantile(np.concatenate(means), [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _z(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it must be between 0 and 1, such as 0.95")
    return NormalDist().inv_cdf((1 + confidence) / 2)
