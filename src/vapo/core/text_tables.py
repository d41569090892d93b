"""Tables of plain text, as commands print them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def align(cells: Sequence[object], widths: Sequence[int]) -> str:
    """Return a line of a table: the first cell flush left, the others flush right.

    Args:
        cells: as many as there are widths at most; one that is wider than its column is not cut, and is kept apart
            from the one before it.
        widths: of the columns, in characters.
    """
    first, *others = (str(cell) for cell in cells)
    line = f"{first:<{widths[0]}}"
    for cell, width in zip(others, widths[1:], strict=False):
        apart = " " if len(cell) >= width and not line.endswith(" ") else ""
        line += f"{apart}{cell:>{width}}"
    return line


def list_facts(facts: Iterable[tuple[str, object]], width: int = 20) -> list[str]:
    """Return a line per fact: its name in a column of `width` characters, and what is so."""
    return [f"{name:<{width}} {value}" for name, value in facts]
