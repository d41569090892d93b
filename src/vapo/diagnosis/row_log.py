"""Finished rows on disk, so that interrupted work goes on where it stopped.

`settings.json` says what the rows were made with; `rows.jsonl` has one line per finished row. A row is used again
only under the same settings, so a resumed run ends as an uninterrupted one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

from vapo.atomic_files import write_atomically
from vapo.errors import ConfigError, DataError
from vapo.run_folder import SETTINGS, adopt_settings

_ROWS = "rows.jsonl"


class Row(Protocol):
    """What can be kept: it turns into plain values and back."""

    def to_json(self) -> dict[str, Any]:
        """Return the row as plain values."""
        ...

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the row that `to_json` wrote; KeyError, TypeError or ValueError if it did not."""
        ...


R = TypeVar("R", bound=Row)


class RowLog(Generic[R]):
    """Rows of one kind in a folder, which is made if it is missing.

    Args:
        folder: where the files are.
        settings: all that the rows depend on, as plain values.
        row_type: the kind of row.

    Attributes:
        rows: finished rows, in the order they were written.

    Raises:
        ConfigError: the folder holds rows made with other settings, or rows of unknown settings.
        DataError: a finished line cannot be read.
    """

    def __init__(self, folder: str | Path, settings: Mapping[str, Any], row_type: type[R]) -> None:
        self._folder = Path(folder)
        make_folder(self._folder)
        self._path = self._folder / _ROWS
        self._adopt_settings(settings)
        self._row_type = row_type
        self.rows = self._read()

    def append(self, rows: Iterable[R]) -> None:
        """Add finished rows; they are on the disk when this returns, or none of them is.

        Raises:
            OSError: they cannot be written, the disk being full for example; its filename says where.
        """
        lines = "".join(_write_line(row) for row in rows).encode()
        size = self._path.stat().st_size if self._path.exists() else 0
        try:
            with self._path.open("ab") as file:
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            if self._path.exists():
                os.truncate(self._path, size)
            raise OSError(error.errno, error.strerror, str(self._path)) from error

    def finish(self, rows: Iterable[R]) -> None:
        """Leave exactly these rows, in this order."""
        write_atomically(self._path, "".join(_write_line(row) for row in rows))

    def _adopt_settings(self, settings: Mapping[str, Any]) -> None:
        file = self._folder / SETTINGS
        if self._path.exists() and not file.is_file():
            raise ConfigError(f"{self._path} is there without {SETTINGS}; give another folder, or delete the file")
        adopt_settings(
            file,
            settings,
            what="rows made",
            remedy="give another folder, or delete this one",
            binding=self._path.exists() and self._path.stat().st_size > 0,
        )

    def _read(self) -> list[R]:
        if not self._path.is_file():
            return []
        content = self._path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):  # the last line was being written when the run was stopped
            os.truncate(self._path, whole)
        return read_rows(self._folder, self._row_type)


def read_rows(folder: Path, row_type: type[R]) -> list[R]:
    """Return the rows that are finished in a folder, in the order they were written.

    Raises:
        DataError: there are none, or a finished line cannot be read.
    """
    path = folder / _ROWS
    if not path.is_file():
        raise DataError(f"{folder} has no {_ROWS}; give the folder that rows were written to")
    rows: list[R] = []
    for number, line in enumerate(path.read_bytes().decode("utf-8", "replace").split("\n")[:-1], start=1):
        try:
            rows.append(row_type.from_json(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}, line {number} is no finished row; delete the line") from error
    return rows


def make_folder(folder: Path) -> None:
    """Make a folder to write to if it is missing. Raises ConfigError where a file has its name."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise ConfigError(f"{folder} is a file; give a folder to write to") from error


def _write_line(row: Row) -> str:
    return json.dumps(row.to_json(), ensure_ascii=True, allow_nan=False) + "\n"
