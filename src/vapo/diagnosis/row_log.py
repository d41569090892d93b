"""Finished rows on disk, so that an interrupted evaluation goes on where it stopped.

`settings.json` says what the rows were made with; `rows.jsonl` has one line per finished question. A row is used
again only for the same sample (by digest) under the same settings, so a resumed run ends as an uninterrupted one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vapo.diagnosis.question_rows import QuestionRow
from vapo.engines.run_folder import write_atomically
from vapo.errors import ConfigError, DataError

_SETTINGS, _ROWS = "settings.json", "rows.jsonl"


class RowLog:
    """The rows of one evaluation in a folder, which is made if it is missing.

    Args:
        folder: where the files are.
        settings: all that the rows depend on, as plain values.

    Attributes:
        done: finished rows by their sample's digest.

    Raises:
        ConfigError: the folder holds rows made with other settings, or rows of unknown settings.
        DataError: a finished line cannot be read.
    """

    def __init__(self, folder: str | Path, settings: Mapping[str, Any]) -> None:
        self._folder = Path(folder)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise ConfigError(f"{folder} is a file; give a folder to write to") from error
        self._path = self._folder / _ROWS
        self._adopt_settings(json.loads(json.dumps(settings)))
        self.done = {row.digest: row for row in self._read()}

    def append(self, rows: Iterable[QuestionRow]) -> None:
        """Add finished rows; they are on the disk when this returns."""
        lines = "".join(_write_line(row) for row in rows)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())

    def finish(self, rows: Iterable[QuestionRow]) -> None:
        """Leave exactly these rows, in this order."""
        write_atomically(self._path, "".join(_write_line(row) for row in rows))

    def _adopt_settings(self, settings: dict[str, Any]) -> None:
        path = self._folder / _SETTINGS
        if path.is_file():
            before = json.loads(path.read_text(encoding="utf-8"))
            names = sorted(k for k in {*before, *settings} if before.get(k) != settings.get(k))
            if names:
                changes = "; ".join(f"{name} was {before.get(name)!r} and is {settings.get(name)!r}" for name in names)
                raise ConfigError(
                    f"{self._folder} holds rows of another evaluation ({changes}); give another folder, or delete "
                    "this one"
                )
        elif self._path.exists():
            raise ConfigError(f"{self._path} is there without {_SETTINGS}; give another folder, or delete the file")
        else:
            write_atomically(path, json.dumps(settings, indent=2, ensure_ascii=False) + "\n")

    def _read(self) -> list[QuestionRow]:
        if not self._path.is_file():
            return []
        content = self._path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):  # the last line was being written when the run was stopped
            os.truncate(self._path, whole)
        rows: list[QuestionRow] = []
        for number, line in enumerate(content[:whole].decode("utf-8", "replace").split("\n")[:-1], start=1):
            try:
                rows.append(QuestionRow.from_json(json.loads(line)))
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"{self._path}, line {number} is no finished row; delete the line") from error
        return rows


def _write_line(row: QuestionRow) -> str:
    return json.dumps(row.to_json(), ensure_ascii=True, allow_nan=False) + "\n"
