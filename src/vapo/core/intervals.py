"""How far a measured rate or mean can be trusted."""

from __future__ import annotations

import math
from importlib import import_module
from itertools import product
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

_DRAWS_TOGETHER = 1_000_000  # 8 MB of indices, and as much of values
_MOST_FLIPPED = 13  # differences whose 8192 ways to flip signs are all tried


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
    return _bound_rate(successes / trials, trials, _z(confidence))


def clustered_interval(
    successes_G: ArrayLike, trials_G: ArrayLike, confidence: float = 0.95, variance_factor: float = 1.0
) -> tuple[float, float]:
    """Bound a success rate of trials that come in groups, such as claims about one image.

    Trials of a group resemble each other, so that n of them tell less than n alone. Wilson's interval is taken at the
    number of independent trials that they are worth:

        deff = v / (p (1 - p) / n),  v = G / (G - 1) sum_g (s_g - p n_g)^2 / n^2,
        n_eff = min(n, n / deff * (t_(n - 1) / t_(G - 1))^2) / factor

    The quantiles of Student's t account for v being estimated from G groups. Where every trial has the same outcome,
    or there is one group, nothing tells how much they resemble each other: each group counts as one trial, and
    n_eff = G / factor.

    Args:
        successes_G: s, per group.
        trials_G: n, per group, from 0; at least one trial in all.
        confidence: in (0, 1).
        variance_factor: by how much the rate scatters more than the groups show, at least 1.

    Returns:
        Lower and upper bound of p = sum(s) / sum(n).

    Raises:
        ValueError: the shapes differ, a number is out of its range, or there are no trials.

    Source: Korn and Graubard, "Confidence intervals for proportions with small expected number of positive counts
    estimated from survey data", Survey Methodology 24 (1998); Wilson's interval for theirs: Dean and Pagano, Journal
    of Survey Statistics and Methodology 3 (2015).
    """
    s, n = np.asarray(successes_G, dtype=np.float64), np.asarray(trials_G, dtype=np.float64)
    if s.ndim != 1 or s.shape != n.shape:
        raise ValueError(f"successes have shape {s.shape} and trials {n.shape}; give one of each per group")
    if (s < 0).any() or (s > n).any():
        raise ValueError("a group has more successes than trials, or fewer than none")
    if not variance_factor >= 1:
        raise ValueError(f"variance_factor is {variance_factor}; it must be at least 1")
    s, n = s[n > 0], n[n > 0]
    total = float(n.sum())
    if total < 1:
        raise ValueError("an interval needs at least one trial; there are 0")
    rate, groups = float(s.sum()) / total, len(n)
    worth = float(groups)
    if 0 < rate < 1 and groups > 1:
        variance = groups / (groups - 1) * float(((s - rate * n) ** 2).sum()) / total**2
        effect = variance / (rate * (1 - rate) / total)
        narrowing = (_student(total - 1, confidence) / _student(groups - 1, confidence)) ** 2
        worth = total if effect <= narrowing else total / effect * narrowing
    return _bound_rate(rate, worth / variance_factor, _z(confidence))


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


def resample_scores(
    reached_GK: ArrayLike, possible_GK: ArrayLike, rng: np.random.Generator, resamples: int = 4000
) -> NDArray[np.float64]:
    """Draw a score of groups of questions again and again, as other groups of the same kind would have given it.

    score = mean_k(sum_g reached_gk / sum_g possible_gk), over G groups drawn with replacement. Two models on the same
    groups are compared by generators with the same seed, which draw the same groups for both.

    Args:
        reached_GK: what was reached, per group and share.
        possible_GK: what could be reached, more than 0.
        rng: the generator that the draws come from.
        resamples: R, at least 1.

    Returns:
        Shape (R,).

    Raises:
        ValueError: the shapes differ, there are no groups, or an argument is out of its range.

    Source: Efron, "Bootstrap methods", Annals of Statistics 7 (1979).
    """
    reached, possible = np.asarray(reached_GK, dtype=np.float64), np.asarray(possible_GK, dtype=np.float64)
    if reached.ndim != 2 or reached.shape != possible.shape or not reached.size:
        raise ValueError(
            f"what was reached has shape {reached.shape} and what was possible {possible.shape}; give both per group "
            "and share, for at least one group"
        )
    if not (possible > 0).all() or resamples < 1:
        raise ValueError("possible must be more than 0 in every group, and resamples at least 1")
    groups = len(reached)
    together = max(1, _DRAWS_TOGETHER // groups)
    scores: list[NDArray[np.float64]] = []
    for done in range(0, resamples, together):
        times_RG = rng.multinomial(groups, np.full(groups, 1 / groups), size=min(together, resamples - done))
        scores.append((times_RG @ reached / (times_RG @ possible)).mean(axis=1))
    return np.concatenate(scores)


def t_interval(values: ArrayLike, confidence: float = 0.95) -> tuple[float, float]:
    """Bound a mean of few values, such as one per seed, by Student's t.

    mean +- t_(n - 1) s / sqrt(n), with s^2 = sum (x - mean)^2 / (n - 1). It supposes that values scatter like a normal
    distribution; of a handful, the bootstrap would claim far too much.

    Args:
        values: shape (n,), at least two, finite, independent.
        confidence: in (0, 1).

    Returns:
        Lower and upper bound of the mean.

    Raises:
        ValueError: there are fewer than two values, a value is not finite, or the confidence is out of its range.

    Source: Student, "The probable error of a mean", Biometrika 6 (1908).
    """
    flat = np.asarray(values, dtype=np.float64)
    if flat.ndim != 1 or flat.size < 2:
        raise ValueError(f"the scatter of values takes a row of at least two; the values have shape {flat.shape}")
    if not np.isfinite(flat).all():
        raise ValueError("a value is not finite; leave out what could not be measured and say how many that were")
    _z(confidence)
    half = _student(flat.size - 1, confidence) * float(flat.std(ddof=1)) / math.sqrt(flat.size)
    mean = float(flat.mean())
    return mean - half, mean + half


def sign_flip_p_value(differences: ArrayLike, rng: np.random.Generator, resamples: int = 9999) -> float:
    """Return how often chance alone would make paired differences sum to as much, in either direction.

    If neither side is better, each difference is as likely as its negative. The sum is compared with those under all
    2^n ways to flip signs; of more than 13 differences that are not 0, with `resamples` ways drawn at random. Of
    differences of one size this is the sign test, of right and wrong answers McNemar's, and exact for any number.

    Args:
        differences: shape (n,), finite, independent; those that are 0 say nothing.
        rng: the generator that flips are drawn from.
        resamples: at least 1.

    Returns:
        In (0, 1].

    Raises:
        ValueError: a difference is not finite, or resamples is out of its range.

    Source: Fisher, "The Design of Experiments" (1935), Section 21.
    """
    flat: NDArray[np.float64] = np.asarray(differences, dtype=np.float64)
    if flat.ndim != 1 or not np.isfinite(flat).all() or resamples < 1:
        raise ValueError("give a row of finite differences, and resamples of at least 1")
    sizes = np.abs(flat[flat != 0])
    count = sizes.size
    if count == 0:
        return 1.0
    if sizes.min() == sizes.max():
        more = int((flat > 0).sum())
        tail = float(import_module("scipy.special").bdtr(min(more, count - more), count, 0.5))
        return min(2 * tail, 1.0)
    least = abs(float(flat.sum())) * (1 - 1e-9)  # sums that rounding alone sets apart are equal
    if count <= _MOST_FLIPPED:
        every_RN = np.array(list(product((0, 1), repeat=count)))
        return float((np.abs(sizes.sum() - 2 * (every_RN @ sizes)) >= least).mean())
    reached, together = 0, max(1, _DRAWS_TOGETHER // count)
    for done in range(0, resamples, together):
        flipped_RN = rng.integers(2, size=(min(together, resamples - done), count), dtype=np.int8)
        reached += int((np.abs(sizes.sum() - 2 * (flipped_RN @ sizes)) >= least).sum())
    return (1 + reached) / (1 + resamples)


def _bound_rate(rate: float, trials: float, z: float) -> tuple[float, float]:
    scale = 1 + z * z / trials
    centre = (rate + z * z / (2 * trials)) / scale
    half = z * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials)) / scale
    # At 0 and at all successes the bound is exact in theory; rounding must not move it off the rate.
    low = 0.0 if rate == 0 else max(centre - half, 0.0)
    high = 1.0 if rate == 1 else min(centre + half, 1.0)
    return low, high


def _student(freedom: float, confidence: float) -> float:
    return float(import_module("scipy.special").stdtrit(freedom, (1 + confidence) / 2))


def _z(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it must be between 0 and 1, such as 0.95")
    return NormalDist().inv_cdf((1 + confidence) / 2)
