"""Load the rows of a data set one by one into a store; images that are known already are not opened."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from vapo.claims.store.images import StoredImage, add_image_set, add_row, encode_stored_image, find_row
from vapo.claims.store.store import Store
from vapo.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image


_AT_A_TIME = 8  # rows for which a thread is woken


class Row(Protocol):
    """A row of a data set, or a file of a folder, as `vapo.data.shown` reads it."""

    @property
    def source(self) -> str:
        """The data set."""
        ...

    @property
    def name(self) -> str:
        """What the row is called there; no two are called the same."""
        ...

    @property
    def stamp(self) -> str:
        """Changes when the row's images may have; "" if that is not known."""
        ...

    def open(self) -> Sequence[Image]:
        """Return its images, upright, at least one. Raises DataError."""
        ...


@dataclass(frozen=True, slots=True)
class LoadedRow:
    """A row that is in the store, or cannot be read.

    Attributes:
        row: what it is called.
        image_set: its number in the store; None if it cannot be read.
        images: its images, if they were opened.
        why: it cannot be read.
    """

    row: str
    image_set: int | None
    images: tuple[StoredImage, ...] = ()
    why: str = ""


class RowLoader:
    """Load rows; images are opened and encoded in threads, and nothing of a row is kept but in the store.

    Args:
        rows: in order.
        store: where they go.
        max_pixels: of an image as it is kept.
    """

    def __init__(self, rows: Iterable[Row], store: Store, max_pixels: int) -> None:
        self._rows: Iterator[Row] = iter(rows)
        self._store = store
        self._max_pixels = max_pixels
        self._lock = asyncio.Lock()
        self._read: deque[Row | DataError] = deque()

    async def load_next(self) -> LoadedRow | None:
        """Load the next row; None if there is none."""
        async with self._lock:
            if not self._read:
                self._read.extend(await asyncio.to_thread(self._read_some))
            row = self._read.popleft() if self._read else None
        if row is None:
            return None
        if isinstance(row, DataError):
            return LoadedRow("", None, why=str(row))
        known = find_row(self._store, row.source, row.name)
        if known is not None and known.stamp == row.stamp != "":
            return LoadedRow(row.name, known.image_set)
        try:
            images = await asyncio.to_thread(self._encode, row)
        except DataError as error:
            return LoadedRow(row.name, None, why=str(error))
        with self._store.writing():
            image_set = add_image_set(self._store, images)
            add_row(self._store, row.source, row.name, row.stamp, image_set)
        return LoadedRow(row.name, image_set, images)

    def _read_some(self) -> list[Row | DataError]:
        """Return the next few rows, up to one that cannot be read."""
        found: list[Row | DataError] = []
        try:
            for row in islice(self._rows, _AT_A_TIME):
                found.append(row)
        except DataError as error:
            found.append(error)
        return found

    def _encode(self, row: Row) -> tuple[StoredImage, ...]:
        return tuple(encode_stored_image(image, self._max_pixels) for image in row.open())
