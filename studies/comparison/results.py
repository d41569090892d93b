"""From measured responses to numbers: one of each kind per run, and differences between arms paired by seed.

The unit is the run: responses of one policy share its noise, so intervals are taken over seeds (Student's t), never
over responses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from studies.cold_start.responses import LOOKS_THAT_LAST
from vapo.core.intervals import t_interval
from vapo.core.perception import NUM_QUARTERS, share_right
from vapo.lab.judge import count_looks
from vapo.lab.questions import EARLY, LATE

from .measuring import ResponseRow

QUARTERS = tuple(f"claims right, quarter {quarter}" for quarter in range(1, NUM_QUARTERS + 1))
LAST_QUARTER = QUARTERS[-1]
ACCURACY, EARLY_RIGHT, LATE_RIGHT = "answers right", "early answers right", "late answers right"
PERCEPTION, BLIND = "claims right", "claims right, image hidden"
SENSITIVITY = "claims right, less with the image hidden"
LOOKING = "responses that look at least twice"
TOKENS, READINGS = "tokens in a response", "cells read in a response"
ENTROPY, SECONDS = "entropy at the end, nats", "training, s"
_SHARES = (ACCURACY, EARLY_RIGHT, LATE_RIGHT, PERCEPTION, *QUARTERS, BLIND, SENSITIVITY, LOOKING)
MEASURES = (*_SHARES, TOKENS, READINGS, ENTROPY, SECONDS)
"""What is measured of a run: shares in [0, 1]; counts; the entropy of a token, a mean over the last ten steps, and
what all steps took on this machine."""

Run = Mapping[str, float]
"""By measure."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over seeds and its 95 % interval; None where there is one seed."""

    mean: float
    low: float | None
    high: float | None

    @property
    def excludes_zero(self) -> bool:
        """Whether the sign is known."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def summarise_run(responses: Sequence[ResponseRow]) -> dict[str, float]:
    """Return every measure of one run that its responses tell.

    Perception is averaged over probes; a response's probes are as many for every arm, as far as it has boundaries.
    """
    probes = [probe for response in responses for probe in response.probes]
    judged = [(probe.depth, probe.is_right) for probe in probes]
    numbers = {
        ACCURACY: _mean([response.right for response in responses]),
        EARLY_RIGHT: _mean([response.right for response in responses if response.kind in EARLY]),
        LATE_RIGHT: _mean([response.right for response in responses if response.kind in LATE]),
        PERCEPTION: _or_nan(share_right(judged)),
    }
    for quarter, name in enumerate(QUARTERS, start=1):
        numbers[name] = _or_nan(share_right(judged, quarter))
    numbers[BLIND] = _or_nan(share_right((probe.depth, probe.is_right_blind) for probe in probes))
    numbers[SENSITIVITY] = numbers[PERCEPTION] - numbers[BLIND]
    numbers[LOOKING] = _mean([count_looks(response.completion) >= LOOKS_THAT_LAST for response in responses])
    numbers[TOKENS] = _mean([response.num_tokens for response in responses])
    numbers[READINGS] = _mean([response.num_readings for response in responses])
    return numbers


def average(runs: Mapping[int, Run], measure: str) -> Interval:
    """Return the mean of a measure over the seeds of one arm."""
    return summarise([run[measure] for run in runs.values()])


def compare(arm: Mapping[int, Run], other: Mapping[int, Run], measure: str) -> Interval:
    """Return the mean difference `arm` less `other` over the seeds that both have."""
    seeds = sorted(arm.keys() & other.keys())
    return summarise([arm[seed][measure] - other[seed][measure] for seed in seeds])


def summarise(values: Sequence[float]) -> Interval:
    """Return the mean of one value per seed, with Student's interval; values that are not finite are left out."""
    finite = [value for value in values if np.isfinite(value)]
    if len(finite) < 2:
        return Interval(finite[0] if finite else float("nan"), None, None)
    low, high = t_interval(finite)
    return Interval(float(np.mean(finite)), low, high)


def _or_nan(share: float | None) -> float:
    return float("nan") if share is None else share


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
