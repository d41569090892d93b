"""How often responses look again, and what is seen late by how often: whether policies differ in seeing itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from studies.cold_start.responses import CHECKS
from vapo.core.perception import NUM_QUARTERS, depth_quarter, share_right
from vapo.lab.judge import count_looks

from .measuring import ResponseRow


@dataclass(frozen=True, slots=True)
class Looking:
    """Responses of one policy that look equally often.

    Attributes:
        share: of all its responses.
        seen: share of the claims in their last quarter that are judged right; nan if none was asked.
        num_claims: asked there.
    """

    share: float
    seen: float
    num_claims: int


def sort_by_looks(runs: Mapping[tuple[str, int], Sequence[ResponseRow]]) -> dict[str, list[Looking]]:
    """Return, by arm, what its responses of all seeds see late, by number of looks from 0 to `CHECKS` or more."""
    responses: dict[str, list[list[ResponseRow]]] = {}
    for (arm, _), rows in runs.items():
        own = responses.setdefault(arm, [[] for _ in range(CHECKS + 1)])
        for row in rows:
            own[min(count_looks(row.completion), CHECKS)].append(row)
    return {arm: [_describe(rows, sum(map(len, own))) for rows in own] for arm, own in responses.items()}


def _describe(rows: Sequence[ResponseRow], total: int) -> Looking:
    judged = [(probe.depth, probe.is_right) for row in rows for probe in row.probes]
    seen = share_right(judged, NUM_QUARTERS)
    num_claims = sum(depth_quarter(depth) == NUM_QUARTERS for depth, _ in judged)
    return Looking(len(rows) / total, float("nan") if seen is None else seen, num_claims)
