"""Images that stand in two data sets: in training and in what a model is measured on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vapo.core.perceptual_hash import BITS, find_near
from vapo.data.checks import Progress, RowProblem, list_problems
from vapo.data.columns import NO_IMAGES
from vapo.data.fingerprints import Fingerprint, take_fingerprints
from vapo.data.images import ImagePolicy
from vapo.data.row_reader import RowReader
from vapo.errors import ConfigError, DataError

NEAR = 20
"""Bits of a hash that may differ in images that count as the same. JPEG at quality 30, half and double size, other
brightness and grey change 14 of 255 bits at most in photographs, charts and drawings; different ones of a million
pairs of the lab's images, which look much alike, differ in 38 at least."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """An image that stands in both data sets.

    Attributes:
        row, image: where in the first, counted from 0.
        other_row, other_image: where in the second.
        distance: bits of the hash that differ; None where the pixels are the same.
    """

    row: int
    image: int
    other_row: int
    other_image: int
    distance: int | None


@dataclass(frozen=True, slots=True)
class Duplicates:
    """What was found in comparing a data set with another.

    Attributes:
        source, other_source: their names.
        num_rows, num_other_rows: rows that were looked at, in each.
        found: every pair of images that are the same, by row.
        problems: rows of the first that were left out, because an image of theirs cannot be opened.
        other_problems: likewise of the second.
    """

    source: str
    other_source: str
    num_rows: int
    num_other_rows: int
    found: tuple[Duplicate, ...]
    problems: tuple[RowProblem, ...]
    other_problems: tuple[RowProblem, ...]

    @property
    def rows(self) -> tuple[int, ...]:
        """The rows of the first data set that show an image of the second."""
        return tuple(dict.fromkeys(pair.row for pair in self.found))

    @property
    def clean_rows(self) -> tuple[int, ...]:
        """Its other rows, rows without an image among them, but not those that have problems."""
        left_out = {*self.rows, *(problem.row for problem in self.problems)}
        return tuple(row for row in range(self.num_rows) if row not in left_out)


def find_duplicates(
    reader: RowReader,
    other: RowReader,
    *,
    policy: ImagePolicy = ImagePolicy(),
    count: int | None = None,
    max_distance: int = NEAR,
    skip_bad_rows: bool = False,
    progress: Progress | None = None,
) -> Duplicates:
    """Find the images of a data set that another one has too: the same pixels, or nearly the same image.

    A drawing of which only a number was changed counts as nearly the same. A part of an image does not count.

    Args:
        reader: the data set that is to be cleaned, such as training data.
        other: the one whose images it must not hold, such as a benchmark.
        policy: which images may be opened.
        count: rows of the first to look at, from its first; None for all.
        max_distance: bits of the hash that may differ, 0 to 255.
        skip_bad_rows: leave out rows whose images cannot be opened, instead of refusing them.
        progress: called with (rows done, rows in all) of both data sets together.

    Raises:
        ConfigError: `max_distance` is out of its range.
        DataError: a data set has no column of images or no images, or an image cannot be opened.
    """
    if not 0 <= max_distance < BITS:
        raise ConfigError(f"max_distance is {max_distance}; it must be 0 to {BITS - 1}, such as {NEAR}")
    num_rows, num_other_rows = len(reader.rows) if count is None else count, len(other.rows)

    def show(done: int, total: int) -> None:
        if progress is not None:
            progress(done, num_rows + num_other_rows)

    def show_later(done: int, total: int) -> None:
        show(num_rows + done, total)

    prints, problems = _look_at(reader, num_rows, policy, skip_bad_rows, show)
    others, other_problems = _look_at(other, num_other_rows, policy, skip_bad_rows, show_later)
    return Duplicates(
        source=reader.rows.source,
        other_source=other.rows.source,
        num_rows=num_rows,
        num_other_rows=num_other_rows,
        found=tuple(_compare(prints, others, max_distance)),
        problems=tuple(problems),
        other_problems=tuple(other_problems),
    )


@dataclass(frozen=True, slots=True)
class _Place:
    row: int
    image: int
    taken: Fingerprint


def _look_at(
    reader: RowReader, count: int, policy: ImagePolicy, skip_bad_rows: bool, progress: Progress
) -> tuple[list[_Place], list[RowProblem]]:
    if reader.layout.images is None:
        missing = next(problem for problem in reader.layout.problems if problem.startswith(NO_IMAGES))
        raise DataError(f"{reader.rows.source}: {missing}")
    places: list[_Place] = []
    problems: list[RowProblem] = []
    for row, outcome in take_fingerprints(reader, policy, count, progress):
        if not isinstance(outcome, RowProblem):
            places += [_Place(row, image, taken) for image, taken in enumerate(outcome)]
        elif skip_bad_rows:
            problems.append(outcome)
        else:
            raise DataError(f"{reader.rows.source}, {outcome}; fix the row or pass --on-bad-row skip")
    if not places:
        said = f"; {list_problems(problems)}" if problems else ""
        raise DataError(f"{reader.rows.source} has no image to compare in its {count} rows{said}")
    return places, problems


def _compare(places: Sequence[_Place], others: Sequence[_Place], max_distance: int) -> Iterator[Duplicate]:
    hashes = np.stack([place.taken.bits for place in places])
    other_hashes = np.stack([place.taken.bits for place in others])
    # The same pixels have the same hash: no exact pair is missed among the near ones.
    for number, other_number, distance in find_near(hashes, other_hashes, max_distance):
        one, two = places[number], others[other_number]
        same = one.taken.name == two.taken.name
        yield Duplicate(one.row, one.image, two.row, two.image, None if same else distance)
