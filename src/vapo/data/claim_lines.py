"""A table with one claim a line, as people keep claims in spreadsheets, read as rows with all claims of an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vapo.data.image_files import Folder
from vapo.data.rows import Rows

CLAIM, LABEL = "claim", "label"


class ClaimLines:
    """Rows of a table in which all lines that are alike but for claim and label are one row.

    Args:
        lines: has the columns `claim` and `label`.
    """

    def __init__(self, lines: Rows) -> None:
        self.source = lines.source
        self._lines = lines
        self._others = tuple(name for name in lines.columns if name not in (CLAIM, LABEL))
        self.columns = (*self._others, "claims")
        together: dict[tuple[Any, ...], list[int]] = {}
        for index in range(len(lines)):
            line = lines.read(index)
            together.setdefault(tuple(line.get(name) for name in self._others), []).append(index)
        self._indices = tuple(together.values())

    def __len__(self) -> int:
        return len(self._indices)

    def read(self, index: int) -> Mapping[str, Any]:
        lines = [self._lines.read(number) for number in self._indices[index]]
        claims = [{"text": line[CLAIM], "is_true": line[LABEL]} for line in lines if line[CLAIM] or line[LABEL]]
        return {**{name: lines[0].get(name) for name in self._others}, "claims": claims}

    def folder(self, index: int) -> Folder | None:
        return self._lines.folder(self._indices[index][0])

    def locate(self, index: int) -> str:
        return self._lines.locate(self._indices[index][0])

    def keep(self, columns: Sequence[str]) -> ClaimLines:
        return self


def holds_claim_lines(columns: Sequence[str]) -> bool:
    """Return whether a table of these columns has one claim a line."""
    return CLAIM in columns and LABEL in columns and "claims" not in columns
