"""Measured numbers that say how far they can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from vapo.core.intervals import bootstrap_mean_interval, wilson_interval

CONFIDENCE = 0.95
RESAMPLES = 4000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over questions and its 95 % interval.

    `low` and `high` are None where the interval cannot be had: a bootstrap of one question would claim certainty.
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


def estimate_mean(values: Sequence[float], *, seed: int, name: str) -> Estimate:
    """Estimate a mean with the percentile bootstrap over questions.

    Args:
        values: one per question; what is measured several times on one question comes as its mean, because answers
            about one picture or chain are not independent.
        seed: of the resampling.
        name: of what is measured; numbers with different names are resampled independently.

    Raises:
        ValueError: there are no values, or one is not finite.
    """
    rng = np.random.default_rng([seed, crc32(name.encode())])
    low, high = bootstrap_mean_interval(values, rng, CONFIDENCE, RESAMPLES)
    mean = float(np.mean(values))
    if len(values) == 1:
        return Estimate(mean, None, None, 1)
    return Estimate(mean, low, high, len(values))
