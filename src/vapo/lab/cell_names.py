"""Marks of rows and columns, as letters of 5 x 7 dots, so that an image does not depend on a machine's fonts.

Columns are A to F and rows U to Z. Letters for both keep the digits for what is written in the cells, and make the
name of a cell, "BV", one token of a byte-level BPE that splits digits singly: looking a cell up takes one step.
"""

from __future__ import annotations

import numpy as np

_ROWS_OF_MARK = {
    "A": "01110 10001 10001 11111 10001 10001 10001",
    "B": "11110 10001 10001 11110 10001 10001 11110",
    "C": "01110 10001 10000 10000 10000 10001 01110",
    "D": "11110 10001 10001 10001 10001 10001 11110",
    "E": "11111 10000 10000 11110 10000 10000 11111",
    "F": "11111 10000 10000 11110 10000 10000 10000",
    "U": "10001 10001 10001 10001 10001 10001 01110",
    "V": "10001 10001 10001 10001 10001 01010 00100",
    "W": "10001 10001 10001 10101 10101 11011 10001",
    "X": "10001 10001 01010 00100 01010 10001 10001",
    "Y": "10001 10001 01010 00100 00100 00100 00100",
    "Z": "11111 00001 00010 00100 01000 10000 11111",
}

MAX_LINES = 6
"""Most rows, and most columns, that marks exist for."""


def mark_bitmap(mark: str) -> np.ndarray:
    """Return one mark as a boolean array of shape [7, 5], True where there is ink.

    Raises KeyError for a mark other than A to F and U to Z.
    """
    return np.array([[dot == "1" for dot in line] for line in _ROWS_OF_MARK[mark].split()])


def column_mark(column: int) -> str:
    """Return the letter of a column counted from 0."""
    return "ABCDEF"[column]


def row_mark(row: int) -> str:
    """Return the letter of a row counted from 0."""
    return "UVWXYZ"[row]


def cell_name(row: int, column: int) -> str:
    """Return the name of a cell as the lab writes it, column first: (1, 2) is "CV"."""
    return column_mark(column) + row_mark(row)
