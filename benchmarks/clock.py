"""Timing: sides take turns, so that what else the machine does falls on all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

from benchmarks.settings import Settings


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some repeats with the smallest and the largest of them."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        """Return the spread of at least one value."""
        return Spread(median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{self.median:.3g} [{self.low:.3g}-{self.high:.3g}]"


CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
"""Seconds that went by, or those that this process computed, which other work on the machine hardly changes."""


def time_in_turn(
    sides: Mapping[str, Callable[[], Any]],
    settings: Settings,
    before: Mapping[str, Callable[[], object]] | None = None,
) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Run every side once in each round; return the seconds each took, and what each returned last.

    Args:
        sides: what to time, by name.
        settings: how often, and by which clock.
        before: what a side needs done before each round, untimed.
    """
    now = CLOCKS[settings.clock]
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    results: dict[str, Any] = {}
    for _ in range(settings.repeats):
        for name, run in sides.items():
            if before is not None and name in before:
                before[name]()
            _wait_for_device()
            started = now()
            results[name] = run()
            _wait_for_device()
            seconds[name].append(now() - started)
    return seconds, results


def compare(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Return the ratio ours over theirs, taken round by round."""
    return Spread.of([own / other for own, other in zip(ours, theirs, strict=True)])


def _wait_for_device() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
