"""Tables of plain text, as commands print them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def align(cells: Sequence[object], widths: Sequence[int]) -> str:
    """Return a line of a table: the first cell flush left, the others flush right.

    Args:
        cells: as many as there are widths at most; one that is wider than its column is not cut.
        widths: of the columns, in characters.
    """
    first, *others = (str(cell) for cell in cells)
    right = (f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=False))
    return f"{first:<{widths[0]}}" + "".join(right)


def list_facts(facts: Iterable[tuple[str, object]], width: int = 20) -> list[str]:
    """Return a line per fact: its name in a column of `width` characters, and what is so."""
    return [f"{name:<{width}} {value}" for name, value in facts]
