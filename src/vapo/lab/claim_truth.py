"""Whether what a model claims about the lab's images is so: their digits are known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from vapo.claims.quality.rates import Rate, measure_rate
from vapo.claims.store.claims import StoredClaim, list_claims
from vapo.claims.store.images import read_rows
from vapo.claims.store.store import Store
from vapo.errors import DataError

from .claims import claim_kind
from .world import Grid

_CELL = re.compile(r"The picture shows ([A-F][U-Z])(\d)\.")
_PRESENCE = re.compile(r"There is a (\d)\.")
_COMPARISON = re.compile(r"([A-F][U-Z]) is larger than ([A-F][U-Z])\.")


@dataclass(frozen=True, slots=True)
class ClaimScore:
    """How many labels of claims about the lab's images are right.

    Attributes:
        labels: labels that are right; None if there is no claim in the lab's words.
        by_kind: the same by the lab's kinds of claims.
        num_others: claims in other words, whose truth cannot be told.
    """

    labels: Rate | None
    by_kind: Mapping[str, Rate]
    num_others: int

    def __str__(self) -> str:
        lines = [f"labels right    {self.labels}" if self.labels is not None else "no claim is in the lab's words"]
        lines += [f"  {kind:<13} {rate}" for kind, rate in self.by_kind.items()]
        lines += [f"in other words  {self.num_others}, whose truth cannot be told"] if self.num_others else []
        return "\n".join(lines)


def judge_claim(text: str, grid: Grid) -> bool | None:
    """Return whether a claim about a grid is true; None if it is not in the lab's words.

    What is said of a cell that the grid does not have is false.
    """
    shown = grid.by_name
    if found := _CELL.fullmatch(text):
        return shown.get(found[1]) == int(found[2])
    if found := _PRESENCE.fullmatch(text):
        return int(found[1]) in shown.values()
    if found := _COMPARISON.fullmatch(text):
        one, other = shown.get(found[1]), shown.get(found[2])
        return one is not None and other is not None and one > other
    return None


def score_claims(store: Store, grids: Mapping[str, Grid]) -> ClaimScore:
    """Compare the labels of claims that are kept with the truth.

    Args:
        store: the store.
        grids: what each image shows, by the row's id.

    Raises:
        DataError: the store knows none of these rows.
    """
    known = {row.image_set: grids[row.name] for row in read_rows(store) if row.name in grids}
    if not known:
        raise DataError(
            f"{store.path} has no claims about this split of the lab's data; name another one with --split"
        )
    judged: list[tuple[StoredClaim, bool]] = []
    num_others = 0
    for stored in list_claims(store):
        truth = judge_claim(stored.claim.text, known[stored.image_set]) if stored.image_set in known else None
        if truth is None:
            num_others += 1
        else:
            judged.append((stored, stored.claim.is_true == truth))
    kinds: dict[str, list[tuple[int, bool]]] = {}
    for stored, right in judged:
        kinds.setdefault(claim_kind(stored.claim.text), []).append((stored.image_set, right))
    rates = {kind: measure_rate(outcomes) for kind, outcomes in sorted(kinds.items())}
    return ClaimScore(
        labels=measure_rate((stored.image_set, right) for stored, right in judged),
        by_kind={kind: rate for kind, rate in rates.items() if rate is not None},
        num_others=num_others,
    )
