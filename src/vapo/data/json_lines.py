"""Rows of JSON Lines files, read from the disk one at a time.

The files are read through once, to find where each line begins, which columns there are and which lines are broken.
What stays in memory is one number per row.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from vapo.data.image_files import Folder
from vapo.data.texts import MAX_LINE, read_lines
from vapo.errors import DataError

_BLANK = b" \t\r\n\xef\xbb\xbf"


class JsonLinesRows:
    """Rows of one or several JSON Lines files; blank lines are no rows.

    Args:
        files: the files, in order.
        root: the folder that no image path may leave; relative paths start from a row's own file.

    Raises:
        DataError: a file cannot be read, is one JSON list, or a line of it is longer than 32 MiB.
    """

    def __init__(self, files: Sequence[Path], root: Path, source: str) -> None:
        self.source = source
        self._files = tuple(files)
        self._root = root
        self._file_of, self._offset_of, self._line_of = array("l"), array("q"), array("l")
        columns: dict[str, None] = {}
        for number, file in enumerate(self._files):
            try:
                self._index(number, file, columns)
            except OSError as error:
                raise DataError(f"{file} cannot be read: {error.strerror or error}") from error
        self.columns = tuple(columns)

    def __len__(self) -> int:
        return len(self._offset_of)

    def read(self, index: int) -> Mapping[str, Any]:
        with self._files[self._file_of[index]].open("rb") as stream:
            stream.seek(self._offset_of[index])
            return _parse(stream.readline(MAX_LINE))

    def folder(self, index: int) -> Folder | None:
        return Folder(self._files[self._file_of[index]].parent, self._root)

    def locate(self, index: int) -> str:
        return f"row {index} ({self._files[self._file_of[index]].name}, line {self._line_of[index]})"

    def keep(self, columns: Sequence[str]) -> JsonLinesRows:
        return self

    def _index(self, number: int, file: Path, columns: dict[str, None]) -> None:
        before = len(self._offset_of)
        with file.open("rb") as stream:
            offset = 0
            for line, content in enumerate(read_lines(stream, file), start=1):
                if len(self._offset_of) == before and content.strip(_BLANK).startswith(b"["):
                    raise DataError(
                        f"{file} is one JSON list, not JSON Lines; write each of its objects on a line of its own, "
                        "without brackets and commas around them"
                    )
                if content.strip(_BLANK):
                    self._file_of.append(number)
                    self._offset_of.append(offset)
                    self._line_of.append(line)
                    with suppress(DataError):  # a broken row is counted too, and says what is wrong when it is read
                        columns.update(dict.fromkeys(_parse(content)))
                offset += len(content)


def _parse(content: bytes) -> Mapping[str, Any]:
    try:
        row: object = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"the line is not JSON: {error}") from error
    if not isinstance(row, dict):
        raise DataError(f"the line holds a {type(row).__name__}, not an object")
    return cast("dict[str, Any]", row)
