"""A store's file: opened, checked, written in transactions, and what goes wrong with it told in sentences.

SQLite writes ahead into a log, so that a process killed at any moment leaves all that it had committed and nothing
half. One connection belongs to one thread; other threads and processes open the file for themselves.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vapo.claims.store.integrity import find_foreign_table, find_foreign_value, names_another_file
from vapo.claims.store.schema import APPLICATION_ID, TABLES, VERSION
from vapo.errors import DataError

WAIT_S = 60.0
"""How long a transaction waits for another process's."""

_BEGINNING = b"SQLite format 3\0"  # of every database's file, once there is something in it
_ERRORS = (sqlite3.Error, UnicodeDecodeError)  # the latter where SQLite's own message quotes a broken name
_sound: dict[
    tuple[int, int], tuple[int, int]
] = {}  # files whose values were looked at: size and time by device, number


class StoreError(DataError):
    """A store cannot be opened, read or written."""


class ForeignStoreError(StoreError):
    """A store holds what vapo does not write."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"{path}: {what}; it is damaged, or another program has changed it. Ask for a store that only vapo has "
            "written"
        )


class Store:
    """An open store; use it as a context manager, or close it.

    Args:
        path: the file.
        create: whether to make a new one where there is none.

    Raises:
        StoreError: there is no such file, it is no store, a newer vapo wrote it, it holds what vapo does not write, or
            it cannot be written.
    """

    def __init__(self, path: str | Path, *, create: bool = False) -> None:
        self.path = Path(path)
        if not create and not self.path.is_file():
            raise StoreError(f"there is no store {self.path}; make one with `vapo claims make --out {self.path}`")
        self._check_beginning()
        try:
            # Autocommit: transactions begin and end where `writing` says, not where Python guesses.
            self._db = sqlite3.connect(self.path, timeout=WAIT_S, isolation_level=None)
        except _ERRORS as error:
            raise self._describe(error) from error
        try:
            self._prepare(create)
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; further use is an error."""
        self._db.close()

    @contextmanager
    def writing(self) -> Generator[None]:
        """Make all that is written inside appear at once, or not at all if it raises.

        Raises:
            StoreError: the disk is full, or the file cannot be written.
        """
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite has rolled back by itself where the disk is full
                self.execute("ROLLBACK")
            raise

    def execute(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run one statement. Raises StoreError."""
        try:
            return self._db.execute(sql, values)
        except _ERRORS as error:
            raise self._describe(error) from error

    def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each row of values. Raises StoreError."""
        try:
            self._db.executemany(sql, rows)
        except _ERRORS as error:
            raise self._describe(error) from error

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a query. Raises StoreError."""
        try:
            return self._db.execute(sql, values).fetchall()
        except _ERRORS as error:
            raise self._describe(error) from error

    def stream(self, sql: str) -> Generator[tuple[Any, ...]]:
        """Yield the rows of a query as they are asked for. Raises StoreError."""
        try:
            yield from self._db.execute(sql)
        except _ERRORS as error:
            raise self._describe(error) from error

    def read_one(self, sql: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """Return the first row of a query, or None. Raises StoreError."""
        try:
            return self._db.execute(sql, values).fetchone()
        except _ERRORS as error:
            raise self._describe(error) from error

    def insert(self, sql: str, values: Sequence[Any]) -> int:
        """Run an INSERT and return the new row's number. Raises StoreError."""
        number = self.execute(sql, values).lastrowid
        assert number is not None
        return number

    def find_damage(self) -> str | None:
        """Return what SQLite finds wrong with the file; None if nothing."""
        found = "; ".join(str(row[0]) for row in self.read("PRAGMA integrity_check"))
        broken = self.read("PRAGMA foreign_key_check")
        return found if found != "ok" else f"{len(broken)} rows refer to none" if broken else None

    def _check_beginning(self) -> None:
        # To SQLite a file of less than a page is an empty database, and it would write over it.
        try:
            with self.path.open("rb") as file:
                beginning = file.read(len(_BEGINNING))
        except OSError:  # there is none, or SQLite will tell what is wrong with it
            return
        if beginning and beginning != _BEGINNING:
            raise StoreError(f"{self.path} is no store of claims; name another file")
        journal = self.path.with_name(f"{self.path.name}-journal")
        if names_another_file(journal):
            raise StoreError(
                f"{journal} names another file, which opening {self.path} would delete; vapo writes no such journal. "
                "Remove it, and open the store only if you trust where it comes from"
            )

    def _prepare(self, create: bool) -> None:
        self.execute("BEGIN")  # what is read is of one moment, though another process may be making the store
        (application,) = self.read_one("PRAGMA application_id") or (0,)
        (version,) = self.read_one("PRAGMA user_version") or (0,)
        empty = self.read_one("SELECT 1 FROM sqlite_master") is None
        self.execute("COMMIT")
        if application not in (0, APPLICATION_ID) or (application == 0 and not (empty and create)):
            raise StoreError(f"{self.path} is no store of claims; name another file")
        if version > VERSION:
            raise StoreError(
                f"{self.path} was written by a newer vapo (its tables have version {version}, this one knows "
                f"{VERSION}); upgrade vapo, or make a new store"
            )
        if application == APPLICATION_ID:
            self._check_contents()
        if self._switch_to_log() != "wal":
            raise StoreError(f"{self.path} lies on a disk that cannot be shared safely; put it on a local one")
        self.execute("PRAGMA synchronous = NORMAL")  # a killed process loses nothing; a power cut, the last moments
        self.execute("PRAGMA foreign_keys = ON")
        if application == 0:
            self._make_tables()

    def _check_contents(self) -> None:
        """Refuse what another program, or a stranger, has put into the store, before anything is written."""
        foreign = find_foreign_table(self.read)
        if foreign is not None:
            what = f"its {foreign} is missing or not as vapo makes it, and could run as part of what vapo does"
            raise ForeignStoreError(self.path, what)
        status = os.stat(self.path)
        file, state = (status.st_dev, status.st_ino), (status.st_size, status.st_mtime_ns)
        if _sound.get(file) != state:
            table = find_foreign_value(self.read)
            if table is not None:
                raise ForeignStoreError(self.path, f"its table {table!r} holds values that vapo does not write")
            _sound[file] = state

    def _switch_to_log(self) -> str:
        # Unlike other statements, this one does not wait for another process that does the same.
        until = time.monotonic() + WAIT_S
        while True:
            try:
                return str(self._db.execute("PRAGMA journal_mode = WAL").fetchone()[0])
            except _ERRORS as error:
                if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise self._describe(error) from error
                time.sleep(0.01)

    def _make_tables(self) -> None:
        with self.writing():
            if self.read_one("SELECT 1 FROM sqlite_master") is not None:
                return  # another process was quicker
            for statement in TABLES.split(";\n"):
                self.execute(statement)
            self.execute(f"PRAGMA user_version = {VERSION}")
            self.execute(f"PRAGMA application_id = {APPLICATION_ID}")

    def _describe(self, error: sqlite3.Error | UnicodeDecodeError) -> StoreError:
        said = str(error)
        if "full" in said:
            return StoreError(
                f"the disk of {self.path} is full; what was stored before is intact. Free some space and give the "
                "same command again"
            )
        if "not a database" in said or "malformed" in said:
            return StoreError(f"{self.path} is no store of claims, or is damaged ({said}); name another file")
        if "decode" in said:
            return ForeignStoreError(self.path, "it holds text or names that are not UTF-8")
        if "locked" in said:
            return StoreError(f"another process has kept {self.path} locked for {WAIT_S:g} s; wait for it or end it")
        if "unable to open" in said or "readonly" in said:
            return StoreError(f"{self.path} cannot be written ({said}); check its folder and the permissions")
        return StoreError(f"{self.path}: {said}; what was stored before is intact, give the same command again")
