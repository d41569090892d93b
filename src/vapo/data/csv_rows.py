"""Rows of a CSV file, or of a TSV file: text in every cell, an empty one null."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vapo.data.image_files import Folder
from vapo.data.texts import read_lines
from vapo.errors import DataError

_LARGEST_CELL = 16 * 1024 * 1024


class CsvRows:
    """Rows of one CSV file as spreadsheets write it: a line of names, commas, quotation marks, UTF-8; tabs in .tsv.

    Args:
        file: the file; it is held in memory.
        root: the folder that image paths start from and may not leave.

    Raises:
        DataError: it cannot be read, has no names, or a row has more or fewer cells than there are names.
    """

    def __init__(self, file: Path, root: Path, source: str) -> None:
        self.source = source
        self._file, self._folder = file, Folder(file.parent, root)
        self._rows: list[dict[str, str | None]] = []
        self._lines: list[int] = []
        csv.field_size_limit(_LARGEST_CELL)
        try:
            with file.open(encoding="utf-8-sig", newline="") as stream:
                delimiter = "	" if file.suffix == ".tsv" else ","
                reader = csv.reader(read_lines(stream, file), delimiter=delimiter, strict=True)
                self.columns = tuple(name.strip() for name in next(reader, ()))
                self._check_names()
                for cells in reader:
                    if cells:  # a blank line has none
                        self._take(cells, reader.line_num)
        except OSError as error:
            raise DataError(f"{file} cannot be read: {error.strerror or error}") from error
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{file} is no CSV file in UTF-8 ({error}); save it anew as CSV UTF-8") from error

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, index: int) -> Mapping[str, Any]:
        return self._rows[index]

    def folder(self, index: int) -> Folder | None:
        return self._folder

    def locate(self, index: int) -> str:
        return f"row {index} ({self._file.name}, line {self._lines[index]})"

    def keep(self, columns: Sequence[str]) -> CsvRows:
        return self

    def _check_names(self) -> None:
        if not any(self.columns):
            raise DataError(f"{self._file} has no line of column names; write one first")
        if len(self.columns) == 1 and any(mark in self.columns[0] for mark in ";\t,"):
            raise DataError(f"{self._file} is not separated by commas (tabs in .tsv); save it anew as CSV with commas")
        twice = [name for name in dict.fromkeys(self.columns) if self.columns.count(name) > 1]
        if twice:
            raise DataError(f"{self._file} has the column {twice[0]!r} more than once; rename one")

    def _take(self, cells: list[str], line: int) -> None:
        if len(cells) != len(self.columns):
            raise DataError(
                f"{self._file}, line {line}: there are {len(cells)} cells but {len(self.columns)} columns; put cells "
                "that hold commas into quotation marks"
            )
        self._rows.append({name: cell or None for name, cell in zip(self.columns, cells, strict=True)})
        self._lines.append(line)
