"""Rows with claims about their images, whether or not they ask anything: what claims are taken over from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from PIL.Image import Image

from vapo.data.checks import Progress, RowProblem, list_problems
from vapo.data.claim_columns import read_claims
from vapo.data.columns import DEFAULT_COLUMNS, Columns
from vapo.data.images import MAX_PIXELS, ImagePolicy, open_image, read_image
from vapo.data.row_reader import RowReader, read_images
from vapo.data.samples import prepare_reader
from vapo.data.texts import read_text
from vapo.errors import DataError
from vapo.types import Claim

_NAME = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ClaimedRow:
    """A row with claims.

    Attributes:
        source: the data set it is from, by its own word where it was exported from a store of claims.
        name: its id, or `row-` and its number.
        images: its images, upright and in RGB.
        contents: the same as encoded files.
        claims: in order; there may be none.
        makers: who made each claim; empty where the row does not say.
        image_names: of the pixels that the images had before they were sent to models; empty likewise.
    """

    source: str
    name: str
    images: tuple[Image, ...]
    contents: tuple[bytes, ...]
    claims: tuple[Claim, ...]
    makers: tuple[str, ...]
    image_names: tuple[str, ...]


class ClaimedRows:
    """The rows of a data set that has claims, read one by one.

    Args:
        source, split, columns, image_folder, allow_urls, max_pixels, limit: as for `load_samples`; columns of
            questions and answers may be missing.
        skip_bad_rows: pass over rows that cannot be used, instead of refusing them; `problems` then lists those that
            were met.
        progress: called with (rows read, rows in all).

    Raises:
        DataError: the data cannot be opened, or has no column of images or of claims.
        ConfigError: `limit` or `max_pixels` is out of its range.
    """

    def __init__(
        self,
        source: str | Path,
        *,
        split: str | None = "train",
        columns: Columns = DEFAULT_COLUMNS,
        image_folder: str | Path | None = None,
        allow_urls: bool = False,
        max_pixels: int = MAX_PIXELS,
        limit: int | None = None,
        skip_bad_rows: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self._policy = ImagePolicy(allow_urls, max_pixels)
        self._reader, self._count = prepare_reader(
            source,
            split=split,
            columns=columns,
            image_folder=image_folder,
            limit=limit,
            whole_rows=True,
            asks=False,
        )
        self.source = self._reader.rows.source
        layout, names = self._reader.layout, self._reader.rows.columns
        if layout.problems:
            raise DataError(f"{self.source}: {'; '.join(layout.problems)}")
        if not layout.has_claims:
            raise DataError(
                f"{self.source} has no claims: no column {columns.claims!r}, no {columns.claim_prefix}1 with "
                f"{columns.label_prefix}1, and in CSV no 'claim' with 'label'; its columns are "
                f"{', '.join(map(repr, names[:12]))}. Name the right one with --claims-column"
            )
        if self._count == 0:
            raise DataError(f"{self.source} is empty: it has no rows")
        self.problems: list[RowProblem] = []
        self._skip = skip_bad_rows
        self._progress = progress

    def __iter__(self) -> Iterator[ClaimedRow]:
        first_with: dict[str, int] = {}
        for index in range(self._count):
            try:
                row = self._read(self._reader, index)
                if first_with.setdefault(row.name, index) != index:
                    raise DataError(f"id {row.name!r} is already that of row {first_with[row.name]}")
            except DataError as error:
                problem = RowProblem(index, self._reader.rows.locate(index), str(error))
                if not self._skip:
                    raise DataError(f"{self.source}, {problem}; fix the row or pass --on-bad-row skip") from error
                self.problems.append(problem)
            else:
                yield row
            if self._progress is not None:
                self._progress(index + 1, self._count)
        if len(self.problems) == self._count:
            raise DataError(f"{self.source}: no row can be used; {list_problems(self.problems)}")

    def _read(self, reader: RowReader, index: int) -> ClaimedRow:
        row, layout = reader.rows.read(index), reader.layout
        values, folder = read_images(row, layout), reader.find_folder(index)
        if not values:
            raise DataError(f"{layout.images} is empty, and claims are about images")
        claims = read_claims(row, layout)
        makers, image_names = _read_names(row, "makers"), _read_names(row, "image_names")
        for column, names, items in (("makers", makers, claims), ("image_names", image_names, values)):
            if names and len(names) != len(items):
                raise DataError(f"{column} has {len(names)} entries where there should be {len(items)}")
        for name in image_names:
            if not _NAME.fullmatch(name):
                raise DataError(f"image_names holds {name!r}, which names no pixels; drop that column")
        source = row.get("source") if image_names else None
        return ClaimedRow(
            source=source if isinstance(source, str) and source else self.source,
            name=f"row-{index}" if layout.id is None else read_text(row.get(layout.id), layout.id, numbers=True),
            images=tuple(open_image(value, folder, self._policy) for value in values),
            contents=tuple(read_image(value, folder, self._policy) for value in values),
            claims=claims,
            makers=makers,
            image_names=image_names,
        )


def _read_names(row: Mapping[str, Any], column: str) -> tuple[str, ...]:
    value = row.get(column)
    if not isinstance(value, list | tuple):
        return ()
    return tuple(read_text(item, f"{column}[{index}]") for index, item in enumerate(cast("Sequence[object]", value)))
