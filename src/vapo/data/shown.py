"""What a data set shows, row by row, whether or not it asks anything: what claims are made about."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

from PIL.Image import Image

from vapo.data.columns import DEFAULT_COLUMNS, NO_COLUMN, NO_IMAGES, Columns, Layout, match_columns
from vapo.data.image_files import Folder, find_image, is_url, take_value
from vapo.data.image_folders import ImageFolderRows, holds_bare_images
from vapo.data.images import MAX_PIXELS, ImagePolicy, open_image
from vapo.data.row_reader import NoImageError, RowReader, read_images
from vapo.data.rows import Rows
from vapo.data.samples import prepare_reader
from vapo.data.texts import read_text
from vapo.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A row with images.

    Attributes:
        source: the data set.
        name: the row's id, or its number, or a file's path in the folder; each stands once in a source.
        stamp: changes when the row's images may have, without a look at their pixels; "" if that is not known.
        columns: the whole row, its images encoded as they are.
    """

    source: str
    name: str
    stamp: str
    columns: Mapping[str, Any]
    _images: tuple[object, ...] = field(repr=False)
    _folder: Folder | None = field(repr=False)
    _policy: ImagePolicy = field(repr=False)
    _where: str = field(repr=False)

    def open(self) -> tuple[Image, ...]:
        """Return the row's images, upright and in RGB. Raises DataError, which names the row."""
        try:
            if not self._images:
                raise NoImageError("there is no image to look at")
            return tuple(open_image(image, self._folder, self._policy) for image in self._images)
        except DataError as error:
            raise DataError(f"{self._where}: {error}") from error


class ShownRows(Sequence[ShownRow]):
    """The rows of a data set, read as they are asked for; `num_others` files of a folder are no images."""

    def __init__(self, reader: RowReader, policy: ImagePolicy, count: int, source: str) -> None:
        self.source = source
        self.num_others = reader.rows.num_others if isinstance(reader.rows, ImageFolderRows) else 0
        self._reader = reader
        self._policy = policy
        self._count = count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> ShownRow: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ShownRow]: ...
    def __getitem__(self, index: int | slice) -> ShownRow | Sequence[ShownRow]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(self._count))]
        if not -self._count <= index < self._count:
            raise IndexError(index)
        return self._read(index % self._count)

    def __iter__(self) -> Iterator[ShownRow]:
        return map(self._read, range(self._count))

    def _read(self, index: int) -> ShownRow:
        rows, layout = self._reader.rows, self._reader.layout
        where = f"{self.source}, {rows.locate(index)}"
        try:
            row = rows.read(index)
            images, folder = read_images(row, layout), self._reader.find_folder(index)
            stamp = stamp_images(images, folder)
        except DataError as error:
            raise DataError(f"{where}: {error}") from error
        name = _find_name(rows, layout, index, row)
        return ShownRow(self.source, name, stamp, row, images, folder, self._policy, where)


def load_shown(
    source: str | Path,
    *,
    split: str | None = "train",
    columns: Columns = DEFAULT_COLUMNS,
    image_folder: str | Path | None = None,
    allow_urls: bool = False,
    max_pixels: int = MAX_PIXELS,
    limit: int | None = None,
) -> ShownRows:
    """Load what a data set shows: a folder of images, or whatever `load_samples` takes, questions or not.

    Images are opened as they are asked for and are not checked before.

    Args:
        source: see `vapo.data.sources.open_rows`; a folder without data files is one of images.
        split, columns, image_folder, allow_urls, max_pixels, limit: as for `load_samples`.

    Raises:
        DataError: there is no such data, it has no column of images, or two rows have one id.
        ConfigError: `limit` or `max_pixels` is out of its range.
    """
    policy = ImagePolicy(allow_urls, max_pixels)
    path = Path(source).expanduser()
    if holds_bare_images(path):
        rows = ImageFolderRows(path)
        layout = match_columns(columns, rows.columns, asks=False)
        _refuse_missing(rows, layout)
        if limit is not None and limit < 1:
            raise ConfigError(f"limit is {limit}; it must be at least 1, or None for all images")
        count = len(rows) if limit is None else min(limit, len(rows))
        return ShownRows(RowReader(rows, layout, None, False), policy, count, rows.source)
    reader, count = prepare_reader(
        source, split=split, columns=columns, image_folder=image_folder, limit=limit, whole_rows=True, asks=False
    )
    if not count:
        raise DataError(f"{reader.rows.source} is empty: it has no rows")
    _refuse_missing(reader.rows, reader.layout)
    _refuse_repeated_ids(reader.rows, reader.layout, count)
    named = reader.rows.source if split in (None, "train") else f"{reader.rows.source}, {split}"
    return ShownRows(reader, policy, count, named)


def _refuse_missing(rows: Rows, layout: Layout) -> None:
    missing = [problem for problem in layout.problems if problem.startswith((NO_IMAGES, NO_COLUMN))]
    if missing:
        raise DataError(f"{rows.source}: {'; '.join(missing)}")


def stamp_images(images: Sequence[object], folder: Folder | None) -> str:
    """Return what changes when a row's images may have: made of encoded bytes, or of a file's size and time.

    Raises:
        DataError: a path does not lead to a file in the folder.
    """
    digest = hashlib.sha256()
    for image in images:
        value = take_value(image)
        if isinstance(value, bytes | bytearray):
            digest.update(b"bytes %d " % len(value))
            digest.update(value)
        elif isinstance(value, str | Path) and is_url(str(value)):
            digest.update(f"url {value}\n".encode())
        elif isinstance(value, str | Path):
            file = find_image(str(value), folder)
            status = file.stat()
            digest.update(f"file {value} {status.st_size} {status.st_mtime_ns}\n".encode())
        else:
            return ""
    return digest.hexdigest()


def _find_name(rows: Rows, layout: Layout, index: int, row: Mapping[str, Any]) -> str:
    if isinstance(rows, ImageFolderRows):
        return rows.locate(index)
    return f"row-{index}" if layout.id is None else read_text(row.get(layout.id), layout.id, numbers=True)


def _refuse_repeated_ids(rows: Rows, layout: Layout, count: int) -> None:
    if layout.id is None:
        return
    narrow = rows.keep((layout.id,))
    first_with: dict[str, int] = {}
    for index in range(count):
        try:
            name = read_text(narrow.read(index).get(layout.id), layout.id, numbers=True)
        except DataError as error:
            raise DataError(f"{rows.source}, {rows.locate(index)}: {error}") from error
        if first_with.setdefault(name, index) != index:
            raise DataError(
                f"{rows.source}, {rows.locate(index)}: id {name!r} is already that of row {first_with[name]}; give "
                "each row its own"
            )
