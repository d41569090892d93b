"""What late answers and late claims depend on: looking again, and reading the digit behind the checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from studies.cold_start.responses import LOOKS_THAT_LAST
from vapo.core.perception import perception_reward
from vapo.lab.judge import count_looks
from vapo.lab.questions import LATE

from .measuring import ResponseRow
from .results import Interval, summarise

Runs = Mapping[tuple[str, int], Sequence[ResponseRow]]
"""Responses by arm and seed."""


@dataclass(frozen=True, slots=True)
class Part:
    """Late responses of one arm that went the same way, over seeds: their share, and right answers among them."""

    share: Interval
    right: Interval


WAYS: Mapping[str, Callable[[ResponseRow], bool]] = {
    "no reading behind the checks": lambda row: not _reads_last(row),
    "a reading behind fewer than two looks": lambda row: _reads_last(row) and not _looks(row),
    "a reading behind two looks or more": lambda row: _reads_last(row) and _looks(row),
}
"""How responses to late questions go; each goes one way."""


def sort_late(runs: Runs) -> dict[str, dict[str, Part]]:
    """Return, by arm and way of `WAYS`, how many late responses go it, and how many of these are right."""
    found: dict[str, dict[str, Part]] = {}
    for arm in dict.fromkeys(arm for arm, _ in runs):
        late = [[row for row in rows if row.kind in LATE] for (name, _), rows in runs.items() if name == arm]
        found[arm] = {}
        for way, goes in WAYS.items():
            own = [[row.right for row in rows if goes(row)] for rows in late]
            shares = [len(right) / len(rows) for right, rows in zip(own, late, strict=True)]
            found[arm][way] = Part(summarise(shares), summarise([float(np.mean(right)) for right in own if right]))
    return found


def pay_luck(runs: Runs) -> dict[str, tuple[Interval, Interval]]:
    """Return, by arm, the mean perception reward of right yes-or-no answers to late questions, over seeds.

    The first is of answers by luck, behind fewer than two looks or without a reading; the second of those behind two
    looks or more.
    """
    found: dict[str, tuple[Interval, Interval]] = {}
    for arm in dict.fromkeys(arm for arm, _ in runs):
        seeds: dict[bool, list[float]] = {False: [], True: []}
        for (name, _), rows in runs.items():
            lucky = [row for row in rows if name == arm and row.kind == "over" and row.right and row.probes]
            for looked, means in seeds.items():
                own = [_earn(row) for row in lucky if (_reads_last(row) and _looks(row)) == looked]
                if own:
                    means.append(float(np.mean(own)))
        found[arm] = summarise(seeds[False]), summarise(seeds[True])
    return found


def _earn(row: ResponseRow) -> float:
    return perception_reward([probe.is_right for probe in row.probes], [probe.depth for probe in row.probes])


def _looks(row: ResponseRow) -> bool:
    return count_looks(row.completion) >= LOOKS_THAT_LAST


def _reads_last(row: ResponseRow) -> bool:
    return "There " in row.completion
