"""Questions that need several looks and some arithmetic, with the two ways of reasoning the cold start teaches.

A careful response names and reads each cell it needs and then computes. A hasty response muses and answers with a
guess from the plausible range, drawn without looking. Both have the same form, so reinforcement learning can find out
that looking pays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vapo.types import Claim

from .cell_names import cell_name, column_mark, row_mark
from .world import Grid

KINDS = ("sum", "count", "largest", "compare", "path")
"""Kinds of question in the data set."""

EXERCISES = ("read", "list", "add")
"""Further kinds, of which only the cold start makes use."""

_MOVES = {"right": (0, 1), "left": (0, -1), "down": (1, 0), "up": (-1, 0)}


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a grid: its text, its answer, how that is worked out, and the answers that look plausible."""

    kind: str
    text: str
    answer: str
    work: str
    plausible: tuple[str, ...]


def ask_claim(claim: Claim) -> tuple[str, str]:
    """Return a claim as a question of its own, and its answer."""
    return f"{claim.text} Is this right?", "yes" if claim.is_true else "no"


def ask(rng: np.random.Generator, grid: Grid, kind: str) -> Question:
    """Draw a question of a kind about a grid. Raises KeyError for a kind that does not exist."""
    return {
        "sum": _ask_sum,
        "count": _ask_count,
        "largest": _ask_largest,
        "compare": _ask_compare,
        "path": _ask_path,
        "read": _ask_read,
        "list": _ask_list,
        "add": _ask_add,
    }[kind](rng, grid)


def read_cells(grid: Grid, cells: list[tuple[int, int]]) -> list[str]:
    """Return cells with their digits, as responses write them: `AU3`."""
    return [f"{cell_name(row, column)}{grid.digits[row][column]}" for row, column in cells]


def _begin(words: str) -> str:
    return words[0].upper() + words[1:]


def _draw_line(rng: np.random.Generator, grid: Grid) -> tuple[str, list[tuple[int, int]]]:
    if rng.random() < 0.5:
        row = int(rng.integers(grid.rows))
        return f"row {row_mark(row)}", [(row, column) for column in range(grid.columns)]
    column = int(rng.integers(grid.columns))
    return f"column {column_mark(column)}", [(row, column) for row in range(grid.rows)]


def _digits(grid: Grid, cells: list[tuple[int, int]]) -> list[int]:
    return [grid.digits[row][column] for row, column in cells]


def _add_up(terms: list[str]) -> str:
    """Add up terms that end in a digit each, from left to right: `AU3, BU5 makes 8, CU2 makes 10`."""
    words, total = [terms[0]], int(terms[0][-1])
    for term in terms[1:]:
        total += int(term[-1])
        words.append(f"{term} makes {total}")
    return ", ".join(words)


def _plausible_sums(terms: int) -> tuple[str, ...]:
    return tuple(str(total) for total in range(2 * terms, 7 * terms + 1))


def _ask_sum(rng: np.random.Generator, grid: Grid) -> Question:
    line, cells = _draw_line(rng, grid)
    digits = _digits(grid, cells)
    work = f"{_begin(line)}: {_add_up(read_cells(grid, cells))}."
    return Question("sum", f"What is the sum of {line}?", str(sum(digits)), work, _plausible_sums(len(cells)))


def _ask_count(rng: np.random.Generator, grid: Grid) -> Question:
    digit = int(rng.choice(np.unique(grid.flat()))) if rng.random() < 0.85 else int(rng.integers(10))
    answer = grid.flat().count(digit)
    found = [cell_name(row, column) for row, column in grid.cells if grid.digits[row][column] == digit]
    work = f"Digit {digit}: {', '.join([*found, f'{answer} times'])}."
    return Question("count", f"How many cells show a {digit}?", str(answer), work, ("0", "1", "2", "3"))


def _ask_largest(rng: np.random.Generator, grid: Grid) -> Question:
    line, cells = _draw_line(rng, grid)
    answer = max(_digits(grid, cells))
    work = f"{_begin(line)}: {', '.join(read_cells(grid, cells))}, largest {answer}."
    plausible = tuple(str(digit) for digit in range(3, 10))
    return Question("largest", f"What is the largest digit in {line}?", str(answer), work, plausible)


def _ask_compare(rng: np.random.Generator, grid: Grid) -> Question:
    """Ask for the larger sum of two lines across the grid's shorter side, whose sums are the shorter to write."""
    across = grid.rows > grid.columns
    first, second = sorted(int(line) for line in rng.permutation(max(grid.rows, grid.columns))[:2])
    names: list[str] = []
    parts: list[str] = []
    sums: list[int] = []
    for line in (first, second):
        names.append(f"row {row_mark(line)}" if across else f"column {column_mark(line)}")
        cells = [cell for cell in grid.cells if cell[0 if across else 1] == line]
        parts.append(f"{_begin(names[-1])}: {_add_up(read_cells(grid, cells))}.")
        sums.append(sum(_digits(grid, cells)))
    answer = str(max(sums))
    text = f"What is the larger sum, that of {names[0]} or of {names[1]}?"
    work = f"{' '.join(parts)} Larger {answer}."
    return Question("compare", text, answer, work, _plausible_sums(min(grid.rows, grid.columns)))


def _ask_path(rng: np.random.Generator, grid: Grid) -> Question:
    row, column = int(rng.integers(grid.rows)), int(rng.integers(grid.columns))
    start = cell_name(row, column)
    asked: list[str] = []
    walked: list[str] = []
    before = None
    for _ in range(int(rng.integers(2, 4))):
        open_moves = [
            move
            for move, (down, across) in _MOVES.items()
            if 0 <= row + down < grid.rows and 0 <= column + across < grid.columns and move != before
        ]
        move = str(rng.choice(open_moves))
        row, column = row + _MOVES[move][0], column + _MOVES[move][1]
        before = {"right": "left", "left": "right", "up": "down", "down": "up"}[move]
        asked.append(f"go {move}")
        walked.append(f"{move} {cell_name(row, column)}")
    answer = grid.digits[row][column]
    text = f"Start at {start}, {', '.join(asked)}. Which digit is there?"
    work = f"Start {start}, {', '.join(walked)}, {cell_name(row, column)}{answer}."
    return Question("path", text, str(answer), work, tuple("0123456789"))


def _ask_read(rng: np.random.Generator, grid: Grid) -> Question:
    row, column = grid.cells[rng.integers(len(grid.cells))]
    digit = str(grid.digits[row][column])
    name = cell_name(row, column)
    return Question("read", f"Which digit is in {name}?", digit, f"{name}{digit}.", tuple("0123456789"))


def _ask_list(rng: np.random.Generator, grid: Grid) -> Question:
    """Name every cell, and every line twice, in random order, each followed by its digit, or by one of its digits."""
    readings = [f"{cell_name(row, column)}{grid.digits[row][column]}" for row, column in grid.cells]
    for _ in range(2):
        readings += [f"{row_mark(row)}{rng.choice(grid.digits[row])}" for row in range(grid.rows)]
        readings += [
            f"{column_mark(column)}{rng.choice([line[column] for line in grid.digits])}"
            for column in range(grid.columns)
        ]
    work = ", ".join(readings[index] for index in rng.permutation(len(readings)))
    total = str(len(readings))
    return Question("list", "Read cells and lines in any order.", total, f"{work}.", (total,))


def _ask_add(rng: np.random.Generator, grid: Grid) -> Question:
    digits = [int(digit) for digit in rng.integers(0, 10, size=4)]
    terms = [str(digit) for digit in digits]
    return Question("add", f"Add {', '.join(terms)}.", str(sum(digits)), f"{_add_up(terms)}.", _plausible_sums(4))
