"""Measured numbers that say how far they can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from vapo.core.intervals import bootstrap_mean_interval, wilson_interval

CONFIDENCE = 0.95
RESAMPLES = 4000
_RESAMPLING = 3  # keeps this generator apart from others with the same seed


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over questions and its 95 % interval.

    `low` and `high` are None where an interval cannot be had: of values that are all alike, the bootstrap would claim
    certainty.
    """

    value: float
    low: float | None
    high: float | None
    num_questions: int


def estimate_rate(outcomes: Sequence[bool]) -> Estimate:
    """Estimate how often something holds, one outcome per question, with Wilson's interval.

    Raises:
        ValueError: there are no outcomes.
    """
    low, high = wilson_interval(sum(outcomes), len(outcomes), CONFIDENCE)
    return Estimate(sum(outcomes) / len(outcomes), low, high, len(outcomes))


def estimate_share(values: Sequence[float], *, seed: int, name: str) -> Estimate:
    """Estimate a mean of shares, one in [0, 1] per question; otherwise as `estimate_mean`.

    Shares that are all 0 or all 1 get Wilson's interval, in which each question counts as one trial.
    """
    if set(values) <= {0.0} or set(values) <= {1.0}:
        return estimate_rate([value == 1 for value in values])
    return estimate_mean(values, seed=seed, name=name)


def estimate_mean(values: Sequence[float], *, seed: int, name: str) -> Estimate:
    """Estimate a mean with the percentile bootstrap over questions.

    Args:
        values: one per question; what is measured several times on one question comes as its mean, because answers
            about one image or response are not independent.
        seed: of the resampling.
        name: of what is measured; numbers with different names are resampled independently.

    Raises:
        ValueError: there are no values, or one is not finite.
    """
    if len(values) > 0 and min(values) == max(values):
        return Estimate(float(values[0]), None, None, len(values))
    rng = np.random.default_rng([_RESAMPLING, seed, crc32(name.encode())])
    low, high = bootstrap_mean_interval(values, rng, CONFIDENCE, RESAMPLES)
    return Estimate(float(np.mean(values)), low, high, len(values))
