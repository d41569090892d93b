"""Load a data set as samples: checked as a whole before the first is used, decoded one by one as they are used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, overload

from vapo.data.checks import Progress, RowProblem, check_images, check_texts, list_problems
from vapo.data.columns import DEFAULT_COLUMNS, Columns, match_columns
from vapo.data.image_files import Folder
from vapo.data.images import MAX_PIXELS, ImagePolicy, open_image
from vapo.data.refused_sizes import SizeCheck, is_usual
from vapo.data.row_reader import RowReader, UnopenedSample
from vapo.data.sources import open_rows
from vapo.errors import ConfigError, DataError
from vapo.types import Sample

_REMEDY = "fix the row or pass --on-bad-row skip"


class Samples(Sequence[Sample]):
    """The usable rows of a data set, as samples. Images are decoded when a sample is asked for, and not kept.

    A slice is again `Samples`. `skipped` tells which rows were left out and why; `source` is the data's name.
    It can be pickled, for workers that load data, if its source can.

    Args:
        reader: reads rows.
        policy: which images may be opened.
        row_numbers: the rows that are samples.
        claim_counts: true and false claims of each of these rows, and of others maybe.
        odd_sizes: (width, height) in pixels of the images of rows that have unusual ones.
        skipped: the rows that are none.
        loaded_with: the options of a run file that load the same; empty where there are none.
    """

    def __init__(
        self,
        reader: RowReader,
        policy: ImagePolicy,
        row_numbers: Sequence[int],
        claim_counts: Mapping[int, tuple[int, int]],
        odd_sizes: Mapping[int, Sequence[tuple[int, int]]],
        skipped: tuple[RowProblem, ...] = (),
        loaded_with: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.source = reader.rows.source
        self.loaded_with = dict(loaded_with)
        self.skipped = skipped
        self._reader = reader
        self._policy = policy
        self._row_numbers = row_numbers
        self._claim_counts = claim_counts
        self._odd_sizes = odd_sizes

    def __len__(self) -> int:
        return len(self._row_numbers)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Samples: ...
    def __getitem__(self, index: int | slice) -> Sample | Samples:
        if isinstance(index, slice):
            return self._keep(self._row_numbers[index], self.skipped)
        return self._load(self._row_numbers[index])

    def __iter__(self) -> Iterator[Sample]:
        return map(self._load, self._row_numbers)

    def read_unopened(self, index: int) -> UnopenedSample:
        """Return a sample whose images are left as the row holds them."""
        return self._read(self._row_numbers[index])

    @property
    def other_columns(self) -> tuple[str, ...]:
        """The data's columns that no sample is made of."""
        return self._reader.other_columns

    def read_others(self, index: int) -> Mapping[str, Any]:
        """Return the values of `other_columns` in the row of a sample, as the data hold them."""
        row = self._row_numbers[index]
        try:
            return self._reader.read_others(row)
        except DataError as error:
            raise self._locate(row, error) from error

    def __repr__(self) -> str:
        return f"Samples({self.source!r}, {len(self)} samples, {len(self.skipped)} rows skipped)"

    @property
    def row_numbers(self) -> Sequence[int]:
        """The row that each sample comes from, counted from 0."""
        return self._row_numbers

    @property
    def num_claims(self) -> tuple[int, int]:
        """How many true and how many false claims the samples have, counted when they were checked."""
        counts = [self._claim_counts[row] for row in self._row_numbers]
        return sum(true for true, _ in counts), sum(false for _, false in counts)

    def find_unclaimed(self) -> dict[int, RowProblem]:
        """Return the samples that have no claims, by their place among these samples; no image is opened."""
        rows = {place: row for place, row in enumerate(self._row_numbers) if not any(self._claim_counts[row])}
        reason = "there are no claims; load_samples(..., require_claims=True, on_bad_row='skip') leaves the row out"
        return {place: RowProblem(row, self._reader.rows.locate(row), reason) for place, row in rows.items()}

    def find_refused(self, sizes: SizeCheck) -> dict[int, RowProblem]:
        """Return the samples with an image of a size that is refused, by their place; no image is opened."""
        refused = {place: sizes.refuse(self._odd_sizes.get(row, ())) for place, row in enumerate(self._row_numbers)}
        rows = {place: (self._row_numbers[place], why) for place, why in refused.items() if why}
        return {place: RowProblem(row, self._reader.rows.locate(row), why) for place, (row, why) in rows.items()}

    def leave_out(self, reasons: Mapping[int, str]) -> Samples:
        """Return the samples but some of them, whose rows are added to `skipped`.

        Args:
            reasons: why each of them is left out, by its place among these samples.
        """
        rows = {self._row_numbers[place]: reason for place, reason in reasons.items()}
        problems = [RowProblem(row, self._reader.rows.locate(row), reason) for row, reason in rows.items()]
        kept = [row for row in self._row_numbers if row not in rows]
        return self._keep(kept, (*self.skipped, *problems))

    def _keep(self, rows: Sequence[int], skipped: tuple[RowProblem, ...]) -> Samples:
        found = (self._claim_counts, self._odd_sizes)
        return Samples(self._reader, self._policy, rows, *found, skipped, self.loaded_with)

    def _load(self, row: int) -> Sample:
        unopened = self._read(row)
        folder = self._reader.find_folder(row)
        try:
            images = tuple(open_image(image, folder, self._policy) for image in unopened.images)
        except DataError as error:
            raise self._locate(row, error) from error
        return Sample(unopened.id, images, unopened.question, unopened.answer, unopened.claims)

    def _read(self, row: int) -> UnopenedSample:
        try:
            return self._reader.read(row)
        except DataError as error:
            raise self._locate(row, error) from error

    def _locate(self, row: int, error: DataError) -> DataError:
        return DataError(f"{self.source}, {self._reader.rows.locate(row)}: {error}")


def load_samples(
    source: object,
    *,
    split: str | None = "train",
    columns: Columns = DEFAULT_COLUMNS,
    on_bad_row: Literal["error", "skip"] = "error",
    require_claims: bool = False,
    image_folder: str | Path | None = None,
    allow_urls: bool = False,
    max_pixels: int = MAX_PIXELS,
    limit: int | None = None,
    progress: Progress | None = None,
    processors: Sequence[Any] = (),
) -> Samples:
    """Load a data set and check every row of it.

    Args:
        source: what to load; see `open_rows` for all that it may be.
        split: the part to load; None for the only one there is.
        columns: which column holds what.
        on_bad_row: whether a row that cannot be used is an error or is left out and listed in `Samples.skipped`.
        require_claims: whether data without claims, and a row without, are errors.
        image_folder: where image paths start, and what none may leave. None: the folder of the data file.
        allow_urls: whether images may be fetched from the web. They are fetched anew each time they are used.
        max_pixels: the largest image, width x height.
        limit: how many rows to look at, from the first; None for all.
        progress: called with (rows checked, rows in all) while images are checked.
        processors: `transformers` processors of the models that are to see the images; a row with an image of a size
            that one of them refuses is a bad row. Without any, that is left to the run.

    Returns:
        The samples, at least one.

    Raises:
        DataError: the source cannot be opened, a column is missing, rows are bad, no row has an image, or nothing is
            left. The message names the first rows and what is wrong with them.
        ConfigError: `on_bad_row`, `limit` or `max_pixels` is out of its range.
    """
    if on_bad_row not in ("error", "skip"):
        raise ConfigError(f"on_bad_row is {on_bad_row!r}; it must be 'error' or 'skip'")
    policy = ImagePolicy(allow_urls, max_pixels)
    reader, count = prepare_reader(
        source, split=split, columns=columns, require_claims=require_claims, image_folder=image_folder, limit=limit
    )
    rows, layout = reader.rows, reader.layout
    if count == 0:
        raise DataError(f"{rows.source} is empty: it has no rows")
    if layout.problems:
        raise DataError(f"{rows.source}: {'; '.join(layout.problems)}")

    problems: list[RowProblem] = []
    readable: list[int] = []
    claim_counts: dict[int, tuple[int, int]] = {}
    for index, outcome in check_texts(reader, count):
        if isinstance(outcome, RowProblem):
            problems.append(outcome)
        else:
            readable.append(index)
            true = sum(claim.is_true for claim in outcome.claims)
            claim_counts[index] = (true, len(outcome.claims) - true)
    _refuse_text_only(problems, count, rows.source)
    if on_bad_row == "error" and problems:
        raise DataError(f"{rows.source}, {list_problems(problems)}; {_REMEDY}")

    usable: list[int] = []
    odd_sizes: dict[int, list[tuple[int, int]]] = {}
    for index, outcome in check_images(reader, policy, readable, progress, SizeCheck(*processors)):
        if not isinstance(outcome, RowProblem):
            usable.append(index)
            if not all(map(is_usual, outcome)):
                odd_sizes[index] = outcome
        elif on_bad_row == "error":
            raise DataError(f"{rows.source}, {outcome}; {_REMEDY}")
        else:
            problems.append(outcome)
    problems.sort(key=lambda problem: problem.row or 0)
    if not usable:
        raise DataError(f"{rows.source}: no row can be used; {list_problems(problems)}")
    loaded_with: dict[str, Any] = {}
    if isinstance(source, str | Path):
        named = {f"{role}_column": getattr(columns, role) for role in ("question", "answer", "images", "claims", "id")}
        folder = None if image_folder is None else str(image_folder)
        loaded_with = {"data": str(source), "split": split, **named, "image_folder": folder}
    return Samples(reader, policy, usable, claim_counts, odd_sizes, tuple(problems), loaded_with)


def prepare_reader(
    source: object,
    *,
    split: str | None,
    columns: Columns,
    image_folder: str | Path | None,
    require_claims: bool = False,
    limit: int | None = None,
    whole_rows: bool = False,
    asks: bool = True,
) -> tuple[RowReader, int]:
    """Open a source and match its columns, without looking at any row.

    Args:
        source, split, columns, image_folder, require_claims, limit: as for `load_samples`.
        whole_rows: read all columns of a row, not only those that a sample is made of.
        asks: whether a data set without questions or answers is a problem.

    Returns:
        The reader, whose `layout.problems` may say that columns are missing, and how many rows to look at.

    Raises:
        DataError: the source or `image_folder` cannot be opened.
        ConfigError: `limit` is not positive.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"limit is {limit}; it must be at least 1, or None for all rows")
    folder = None
    if image_folder is not None:
        path = Path(image_folder).expanduser()
        if not path.is_dir():
            raise DataError(f"image_folder {path} is not a folder")
        folder = Folder(path, path)
    rows = open_rows(source, split)
    layout = match_columns(columns, rows.columns, require_claims, asks)
    count = len(rows) if limit is None else min(limit, len(rows))
    kept = rows if whole_rows else rows.keep(layout.used)
    others = rows.keep([name for name in rows.columns if name not in layout.used])
    return RowReader(kept, layout, folder, require_claims, others), count


def _refuse_text_only(problems: Sequence[RowProblem], count: int, source: str) -> None:
    if sum(problem.no_image for problem in problems) == count:
        raise DataError(f"{source}: none of the {count} rows has an image to look at; this needs images in every row")
