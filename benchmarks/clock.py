"""Time and peak memory: sides take turns, so that what else the machine does falls on all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch

from benchmarks.memory import PeakMemory
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


Cell = Spread | float | int | str | None

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
"""Seconds that went by, or those that this process computed, which other work on the machine hardly changes."""


@dataclass(slots=True)
class Runs:
    """What one side's rounds gave: the seconds and the peak memory of each, and what the last one returned."""

    seconds: list[float] = field(default_factory=list)
    megabytes: list[float | None] = field(default_factory=list)
    result: Any = None

    def show(self, side: str) -> dict[str, Cell]:
        """Return the cells of a table about `side`."""
        held = [peak for peak in self.megabytes if peak is not None]
        return {f"{side} s": Spread.of(self.seconds), f"{side} MB": max(held) if held else None}


def time_in_turn(
    sides: Mapping[str, Callable[[], Any]],
    settings: Settings,
    before: Mapping[str, Callable[[], object]] | None = None,
) -> dict[str, Runs]:
    """Run every side once in each round.

    Args:
        sides: what to time, by name.
        settings: how often, and by which clock.
        before: what a side needs done before each round, untimed.
    """
    now = CLOCKS[settings.clock]
    runs = {name: Runs() for name in sides}
    for _ in range(settings.repeats):
        for name, run in sides.items():
            own = runs[name]
            own.result = None
            if before is not None and name in before:
                before[name]()
            _wait_for_device()
            memory = PeakMemory(settings.device)
            started = now()
            own.result = run()
            _wait_for_device()
            own.seconds.append(now() - started)
            own.megabytes.append(memory.megabytes())
    return runs


def compare(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Return the ratio ours over theirs, taken round by round."""
    return Spread.of([own / other for own, other in zip(ours, theirs, strict=True)])


def _wait_for_device() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
