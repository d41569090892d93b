"""Check every row of a source once, before anything is trained on it.

Texts and claims of all rows are checked first, which is cheap; then each image is decoded once and dropped again.
That costs about 3 ms for an image of 500 x 500 pixels and is spread over the processor's cores; the memory it takes
is one image per core.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from vapo.data.images import ImagePolicy, measure_image, read_size
from vapo.data.refused_sizes import SizeCheck
from vapo.data.row_reader import NoImageError, RowReader, UnopenedSample, read_images
from vapo.errors import DataError

Result = TypeVar("Result")

Progress = Callable[[int, int], None]
"""Called with (rows done, rows in all)."""


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Why a row cannot be used. `row` counts from 0; it is None for a problem of the data set as a whole.

    `no_image` marks the one problem that a whole data set can have in every row: there is nothing to look at.
    """

    row: int | None
    where: str
    reason: str
    no_image: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


def check_texts(reader: RowReader, count: int) -> Iterator[tuple[int, UnopenedSample | RowProblem]]:
    """Check all but the pixels of the first `count` rows.

    Args:
        reader: reads the rows.
        count: how many rows to check.

    Yields:
        The row's number with what it holds, or with what is wrong with it. Rows without an image are problems.
    """
    first_with: dict[str, int] = {}
    for index in range(count):
        try:
            unopened = reader.read(index)
            if reader.layout.id is not None and first_with.setdefault(unopened.id, index) != index:
                raise DataError(f"id {unopened.id!r} is already that of row {first_with[unopened.id]}")
        except DataError as error:
            yield index, RowProblem(index, reader.rows.locate(index), str(error), isinstance(error, NoImageError))
        else:
            yield index, unopened


def check_images(
    reader: RowReader,
    policy: ImagePolicy,
    indices: Sequence[int],
    progress: Progress | None = None,
    sizes: SizeCheck | None = None,
    *,
    decode: bool = True,
) -> Iterator[tuple[int, list[tuple[int, int]] | RowProblem]]:
    """Decode the images of rows once, and keep nothing but their sizes.

    Args:
        reader: reads the rows.
        policy: which images may be opened.
        indices: the rows to check.
        progress: told how far the work is.
        sizes: images of sizes that it refuses are problems. None leaves that out.
        decode: whether images are decoded; else only the beginning of their files is read, and nothing from the web.

    Yields:
        The row's number with the (width, height) of its images in pixels, or with what is wrong with one of them.
    """

    def measure(index: int) -> list[tuple[int, int]] | RowProblem:
        try:
            images, folder = read_images(reader.rows.read(index), reader.layout), reader.find_folder(index)
            if decode:
                return [measure_image(image, folder, policy) for image in images]
            stated = (read_size(image, folder, policy) for image in images)
            return [size for size in stated if size is not None]
        except DataError as error:
            return RowProblem(index, reader.rows.locate(index), str(error))

    for index, outcome in map_rows(measure, indices, progress):
        refused = sizes.refuse(outcome) if sizes is not None and not isinstance(outcome, RowProblem) else None
        yield index, RowProblem(index, reader.rows.locate(index), refused) if refused else outcome


def map_rows(
    call: Callable[[int], Result], indices: Sequence[int], progress: Progress | None = None
) -> Iterator[tuple[int, Result]]:
    """Yield each row's number with what `call` makes of it, in order, computed on several of the processor's cores."""
    workers = min(8, os.cpu_count() or 1)
    block = 32 * workers  # so that stopping early leaves little undone work behind
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(indices), block):
            chunk = indices[start : start + block]
            yield from zip(chunk, pool.map(call, chunk), strict=True)
            if progress is not None:
                progress(start + len(chunk), len(indices))


def group_problems(problems: Sequence[RowProblem]) -> list[list[RowProblem]]:
    """Return problems by kind, the first kind first; reasons of a kind differ in numbers and quotations alone."""
    kinds: dict[str, list[RowProblem]] = {}
    for problem in problems:
        kinds.setdefault(_QUOTED.sub("", problem.reason), []).append(problem)
    return list(kinds.values())


_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\d+")


def list_problems(problems: Sequence[RowProblem], shown: int = 5) -> str:
    """Put problems into one message: the first few in full, of more the first of each kind.

    Args:
        problems: at least one problem.
        shown: how many to spell out.
    """
    if len(problems) <= shown:
        return "; ".join(map(str, problems))
    kinds = group_problems(problems)
    lines = [f"{own[0]}{f' (and {len(own) - 1} more like it)' if len(own) > 1 else ''}" for own in kinds[:shown]]
    rest = sum(map(len, kinds[shown:]))
    return "; ".join([*lines, *([f"and {rest} more of other kinds"] if rest else [])])
