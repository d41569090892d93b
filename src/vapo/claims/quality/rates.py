"""A rate over claims, and how far it can be trusted: claims about one image are not independent of each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vapo.core.intervals import clustered_interval


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` of `total`, with the bounds of the rate's 95 % interval; there is no rate of nothing."""

    count: int
    total: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The rate, in [0, 1]."""
        return self.count / self.total

    def __str__(self) -> str:
        return f"{self.value:.1%} [{100 * self.low:.1f}, {100 * self.high:.1f}] of {self.total}"


def measure_rate(outcomes: Iterable[tuple[int, bool]]) -> Rate | None:
    """Measure how often something holds.

    Args:
        outcomes: per claim, the number of what it is about and whether it holds.

    Returns:
        None if there are no outcomes.
    """
    counts: dict[int, list[int]] = {}
    for image_set, holds in outcomes:
        counts.setdefault(image_set, [0, 0])[holds] += 1
    if not counts:
        return None
    held = [right for _, right in counts.values()]
    trials = [sum(both) for both in counts.values()]
    return Rate(sum(held), sum(trials), *clustered_interval(held, trials))
