"""Give the rows of a data set the claims that are known about their images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vapo.core.image_names import name_image
from vapo.data.checks import Progress, RowProblem, check_texts, list_problems, map_rows
from vapo.data.images import ImagePolicy, open_image
from vapo.data.row_files import write_rows
from vapo.data.row_reader import RowReader, read_images
from vapo.errors import DataError
from vapo.types import Claim

FindPool = Callable[[Sequence[str]], Sequence[Claim]]
"""Returns the claims about images, by the names of their pixels in order; none if nothing is known of them."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """What was written: `num_rows` rows with `num_claims` claims; `left_out` says why the others were not."""

    num_rows: int
    num_claims: int
    left_out: tuple[RowProblem, ...]


def attach_claims(
    reader: RowReader,
    count: int,
    find_pool: FindPool,
    path: Path,
    *,
    policy: ImagePolicy = ImagePolicy(),
    skip_bad_rows: bool = False,
    progress: Progress | None = None,
) -> Attachment:
    """Write a data set with the claims about its images, in place of those it may have had.

    Args:
        reader: reads the rows, all columns of them.
        count: how many rows, from the first.
        find_pool: knows the claims.
        path: the Parquet file to write.
        policy: which images may be opened.
        skip_bad_rows: leave out rows without claims, or that cannot be used, instead of refusing them.
        progress: told how far the work is.

    Raises:
        DataError: a column is missing, a row cannot be used, there are no claims about its images, or nothing is
            left.
    """
    source = reader.rows.source
    # The claims that a row has are not looked at: they may be the reason why it gets others.
    bare = replace(reader, layout=replace(reader.layout, claims=None, claim_pairs=()), require_claims=False)
    if bare.layout.problems:
        raise DataError(f"{source}: {'; '.join(bare.layout.problems)}")
    problems: list[RowProblem] = []
    readable: list[int] = []
    for index, outcome in check_texts(bare, count):
        if isinstance(outcome, RowProblem):
            problems.append(outcome)
        else:
            readable.append(index)
    _refuse(problems, source, skip_bad_rows)

    def name(index: int) -> list[str] | RowProblem:
        try:
            images, folder = read_images(bare.rows.read(index), bare.layout), bare.find_folder(index)
            return [name_image(open_image(image, folder, policy)) for image in images]
        except DataError as error:
            return RowProblem(index, bare.rows.locate(index), str(error))

    pools: dict[int, Sequence[Claim]] = {}
    for index, outcome in map_rows(name, readable, progress):
        pool = outcome if isinstance(outcome, RowProblem) else find_pool(outcome)
        if isinstance(pool, RowProblem):
            problems.append(pool)
        elif pool:
            pools[index] = pool
        else:
            problems.append(RowProblem(index, bare.rows.locate(index), "no claims are known about its images"))
    _refuse(problems, source, skip_bad_rows)
    problems.sort(key=lambda problem: problem.row or 0)
    if not pools:
        raise DataError(f"{source}: no row gets claims; {list_problems(problems)}")
    write_rows(path, reader, list(pools), find_claims=pools.__getitem__, policy=policy)
    return Attachment(len(pools), sum(map(len, pools.values())), tuple(problems))


def _refuse(problems: Sequence[RowProblem], source: str, skip: bool) -> None:
    if problems and not skip:
        raise DataError(
            f"{source}, {list_problems(problems)}; make claims about those images, fix the rows, or leave them out "
            "with --on-bad-row skip"
        )
