"""Claims from a program of the user's own, which knows what an image shows: scene graphs, boxes of read text, tables.

A program is a function of a row and its images that returns claims. What it returns goes through the same filters
as a model's claims and into the same store, as many true claims as false ones. Of more than are needed, claims are
drawn at random, kinds in turn, because a program often lists one kind of claims after the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from vapo.claims.filters.claim_filter import filter_claims
from vapo.claims.filters.kinds import find_kind
from vapo.claims.making.counts import RunCounts
from vapo.claims.making.image_set_state import Outcome, read_state
from vapo.claims.making.row_loader import Row
from vapo.claims.making.settings import MakingSettings
from vapo.claims.store.claims import add_claims
from vapo.claims.store.images import add_image_set, add_row, encode_stored_image, find_row
from vapo.claims.store.store import Store
from vapo.errors import DataError
from vapo.own_code import load_function
from vapo.types import Claim

_DRAWS = 8  # keeps these generators apart from others with the same seed

if TYPE_CHECKING:
    from PIL.Image import Image

Program = Callable[[Mapping[str, Any], Sequence["Image"]], Iterable[Claim]]
"""Returns the claims about a row's images, given the row by its columns. It may return more than are needed."""


class WholeRow(Row, Protocol):
    """A row with all of its columns."""

    @property
    def columns(self) -> Mapping[str, Any]:
        """The whole row, its images as they stand there."""
        ...


def load_program(name: str) -> Program:
    """Return the function that `FILE.py:FUNCTION` or `MODULE:FUNCTION` names.

    Raises:
        ConfigError: there is no such file, module or function.
    """
    return cast("Program", load_function(name, what="program", example="my_claims.py:my_function"))


def make_claims_by_program(
    rows: Iterable[WholeRow],
    store: Store,
    program: Program,
    name: str,
    settings: MakingSettings = MakingSettings(),
    *,
    on_progress: Callable[[RunCounts], None] | None = None,
) -> RunCounts:
    """Keep a program's claims about the images of rows. It is asked once about each image.

    Args:
        rows: what to make claims about.
        store: where everything is kept.
        program: makes claims.
        name: what the store calls it.
        settings: how many, and what they must be like.
        on_progress: told how far it is.

    Raises:
        DataError: the program fails at a row, or returns something else than claims.
    """
    counts = RunCounts(total=len(rows) if isinstance(rows, Sized) else None, by_program=True)
    reader = iter(rows)
    while True:
        try:
            row = next(reader, None)
        except DataError as error:
            counts.add("unreadable", "", str(error))
            continue
        if row is None:
            return counts
        outcome = _find_known(store, row, name, settings) or _ask(store, row, program, name, settings, counts)
        counts.add(outcome.status, row.name, outcome.why)
        if on_progress is not None:
            on_progress(counts)


def _find_known(store: Store, row: WholeRow, name: str, settings: MakingSettings) -> Outcome | None:
    known = find_row(store, row.source, row.name)
    if known is None or known.stamp != row.stamp or row.stamp == "":
        return None
    return _find_outcome(store, known.image_set, name, settings)


def _find_outcome(store: Store, image_set: int, name: str, settings: MakingSettings) -> Outcome | None:
    """Return what has become of an image set; None if the program was not asked about it."""
    state = read_state(store, image_set)
    pool = state.make_pool(settings.per_image)
    if pool.is_full:
        return Outcome("full")
    if any(claim.maker == name for claim in state.claims):
        return Outcome("short", f"{len(pool.texts)} of {settings.per_image} claims")
    return None


def _ask(
    store: Store, row: WholeRow, program: Program, name: str, settings: MakingSettings, counts: RunCounts
) -> Outcome:
    try:
        opened = row.open()
    except DataError as error:
        return Outcome("unreadable", str(error))
    claims = _run(program, row, opened)
    images = [encode_stored_image(image, settings.max_pixels) for image in opened]
    with store.writing():
        image_set = add_image_set(store, images)
        add_row(store, row.source, row.name, row.stamp, image_set)
        outcome = _find_outcome(store, image_set, name, settings)
        if outcome is not None:  # another row shows the same
            return outcome
        drawn = _draw(claims, np.random.default_rng([_DRAWS, settings.seed, *(int(i.name, 16) for i in images)]))
        filtered = filter_claims(drawn, read_state(store, image_set).make_pool(settings.per_image), settings.filters)
        add_claims(store, image_set, name, filtered)
    counts.count_claims(filtered)
    return _find_outcome(store, image_set, name, settings) or Outcome("short", "the program returned no claims")


def _draw(claims: Sequence[Claim], rng: np.random.Generator) -> list[Claim]:
    """Return claims in random order, in which the kinds of true claims take turns, and those of false ones."""
    shuffled = [claims[int(place)] for place in rng.permutation(len(claims)).tolist()]
    seen: Counter[tuple[bool, str]] = Counter()
    turns: list[int] = []
    for claim in shuffled:
        kind = (claim.is_true, find_kind(claim.text))
        turns.append(seen[kind])
        seen[kind] += 1
    return [shuffled[place] for place in sorted(range(len(shuffled)), key=turns.__getitem__)]


def _run(program: Program, row: WholeRow, opened: Sequence[Image]) -> list[Claim]:
    where = f"{row.source}, {row.name}"
    try:
        claims: list[object] = list(program(row.columns, opened))
    except Exception as error:  # it is the user's, and may raise anything
        raise DataError(f"{where}: the program failed: {type(error).__name__}: {error}") from error
    for claim in claims:
        if not isinstance(claim, Claim):
            raise DataError(f"{where}: the program returned {claim!r}; it must return vapo.Claim(text, is_true)")
    return cast("list[Claim]", claims)
