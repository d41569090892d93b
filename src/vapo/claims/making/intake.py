"""Take in the rows of a data set one by one, as subjects of a store; pictures known already are not opened."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from vapo.claims.store.store import Store
from vapo.claims.store.subjects import StoredImage, add_row, add_subject, encode_stored_image, find_row
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
        """Changes when the row's pictures may have; "" if that is not known."""
        ...

    def open(self) -> Sequence[Image]:
        """Return its pictures, upright, at least one. Raises DataError."""
        ...


@dataclass(frozen=True, slots=True)
class Arrival:
    """A row that was taken in.

    Attributes:
        row: what it is called.
        subject: its number in the store; None if it cannot be read.
        images: its pictures, if they were opened.
        why: it cannot be read.
    """

    row: str
    subject: int | None
    images: tuple[StoredImage, ...] = ()
    why: str = ""


class Intake:
    """Take in rows; pictures are opened and encoded in threads, and nothing of a row is kept but in the store.

    Args:
        rows: in order.
        store: where they go.
        max_pixels: of a picture as it is kept.
    """

    def __init__(self, rows: Iterable[Row], store: Store, max_pixels: int) -> None:
        self._rows: Iterator[Row] = iter(rows)
        self._store = store
        self._max_pixels = max_pixels
        self._lock = asyncio.Lock()
        self._read: deque[Row | DataError] = deque()

    async def take(self) -> Arrival | None:
        """Take in the next row; None if there is none."""
        async with self._lock:
            if not self._read:
                self._read.extend(await asyncio.to_thread(self._read_some))
            row = self._read.popleft() if self._read else None
        if row is None:
            return None
        if isinstance(row, DataError):
            return Arrival("", None, why=str(row))
        known = find_row(self._store, row.source, row.name)
        if known is not None and known.stamp == row.stamp != "":
            return Arrival(row.name, known.subject)
        try:
            images = await asyncio.to_thread(self._encode, row)
        except DataError as error:
            return Arrival(row.name, None, why=str(error))
        with self._store.writing():
            subject = add_subject(self._store, images)
            add_row(self._store, row.source, row.name, row.stamp, subject)
        return Arrival(row.name, subject, images)

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
