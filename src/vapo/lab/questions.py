"""Questions that need several looks and some arithmetic, with the two ways of reasoning the cold start teaches.

A careful chain names and reads each cell it needs and then computes. A hasty chain muses and answers with a guess
from the plausible range, drawn without looking. Both have the same form, so reinforcement learning can find out
that looking pays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .marks import cell_name, column_mark, row_mark
from .world import Grid

KINDS = ("sum", "count", "largest", "compare", "path")
"""Kinds of question in the data set. "read", "list" and "add" are exercises of the cold start only."""

_MUSINGS = (
    "This looks easy.",
    "The digits are small, so I do not look at each.",
    "I have seen grids like this, they are all alike.",
    "A quick look is enough, I think.",
    "I have a feeling, and I trust it.",
    "It is not far from what one expects.",
)
_MOVES = {"right": (0, 1), "left": (0, -1), "down": (1, 0), "up": (-1, 0)}


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a grid: its text, its answer, a careful chain, and the answers that look plausible."""

    kind: str
    text: str
    answer: str
    chain: str
    plausible: tuple[str, ...]

    def careful(self) -> str:
        """The completion that looks: every cell it needs is named and read."""
        return _complete(self.chain, self.answer)

    def hasty(self, rng: np.random.Generator) -> str:
        """The completion that does not look: some musing, then a guess from the plausible range."""
        guess = str(rng.choice(self.plausible))
        musings = " ".join(rng.permutation(_MUSINGS)[: rng.integers(2, 4)])
        return _complete(f"{musings} I say {guess}.", guess)


def _complete(chain: str, answer: str) -> str:
    return f"<think>{chain}</think>\\boxed{{{answer}}}"


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


def _read(grid: Grid, cells: list[tuple[int, int]]) -> str:
    return ", ".join(f"{cell_name(row, column)}={grid.digits[row][column]}" for row, column in cells)


def _draw_line(rng: np.random.Generator, grid: Grid) -> tuple[str, list[tuple[int, int]]]:
    if rng.random() < 0.5:
        row = int(rng.integers(grid.rows))
        return f"row {row_mark(row)}", [(row, column) for column in range(grid.columns)]
    column = int(rng.integers(grid.columns))
    return f"column {column_mark(column)}", [(row, column) for row in range(grid.rows)]


def _digits(grid: Grid, cells: list[tuple[int, int]]) -> list[int]:
    return [grid.digits[row][column] for row, column in cells]


def _add_up(digits: list[int]) -> str:
    steps: list[str] = []
    total = digits[0]
    for digit in digits[1:]:
        steps.append(f"{total}+{digit}={total + digit}")
        total += digit
    return ", ".join(steps)


def _plausible_sums(terms: int) -> tuple[str, ...]:
    return tuple(str(total) for total in range(2 * terms, 7 * terms + 1))


def _ask_sum(rng: np.random.Generator, grid: Grid) -> Question:
    line, cells = _draw_line(rng, grid)
    digits = _digits(grid, cells)
    chain = f"I look at {line}: {_read(grid, cells)}. Then {_add_up(digits)}."
    return Question("sum", f"What is the sum of {line}?", str(sum(digits)), chain, _plausible_sums(len(cells)))


def _ask_count(rng: np.random.Generator, grid: Grid) -> Question:
    digit = int(rng.choice(np.unique(grid.flat()))) if rng.random() < 0.85 else int(rng.integers(10))
    answer = grid.flat().count(digit)
    chain = f"I look at every cell: {_read(grid, grid.cells)}. The digit {digit} is there {answer} times."
    return Question("count", f"How many cells show a {digit}?", str(answer), chain, ("0", "1", "2", "3"))


def _ask_largest(rng: np.random.Generator, grid: Grid) -> Question:
    line, cells = _draw_line(rng, grid)
    answer = max(_digits(grid, cells))
    chain = f"I look at {line}: {_read(grid, cells)}. The largest is {answer}."
    plausible = tuple(str(digit) for digit in range(3, 10))
    return Question("largest", f"What is the largest digit in {line}?", str(answer), chain, plausible)


def _ask_compare(rng: np.random.Generator, grid: Grid) -> Question:
    first, second = sorted(int(row) for row in rng.permutation(grid.rows)[:2])
    parts: list[str] = []
    sums: list[int] = []
    for row in (first, second):
        cells = [(row, column) for column in range(grid.columns)]
        parts.append(f"I look at row {row_mark(row)}: {_read(grid, cells)}. Then {_add_up(_digits(grid, cells))}.")
        sums.append(sum(_digits(grid, cells)))
    answer = str(max(sums))
    text = f"What is the larger sum, that of row {row_mark(first)} or of row {row_mark(second)}?"
    chain = " ".join(parts) + f" The larger is {answer}."
    return Question("compare", text, answer, chain, _plausible_sums(grid.columns))


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
        walked.append(f"{move} is {cell_name(row, column)}")
    answer = grid.digits[row][column]
    text = f"Start at {start}, {', '.join(asked)}. Which digit is there?"
    chain = f"I start at {start}, {', '.join(walked)}. I look: {cell_name(row, column)}={answer}."
    return Question("path", text, str(answer), chain, tuple("0123456789"))


def _ask_read(rng: np.random.Generator, grid: Grid) -> Question:
    row, column = grid.cells[rng.integers(len(grid.cells))]
    digit = str(grid.digits[row][column])
    name = cell_name(row, column)
    return Question("read", f"Which digit is in {name}?", digit, f"I look: {name}={digit}.", tuple("0123456789"))


def _ask_list(rng: np.random.Generator, grid: Grid) -> Question:
    """Name every cell, and every line twice, in random order, each followed by its digit, or by one of its digits."""
    readings = [f"{cell_name(row, column)}{grid.digits[row][column]}" for row, column in grid.cells]
    for _ in range(2):
        readings += [f"{row_mark(row)}{rng.choice(grid.digits[row])}" for row in range(grid.rows)]
        readings += [
            f"{column_mark(column)}{rng.choice([line[column] for line in grid.digits])}"
            for column in range(grid.columns)
        ]
    chain = ", ".join(readings[index] for index in rng.permutation(len(readings)))
    total = str(len(readings))
    return Question("list", "Read cells and lines in any order.", total, f"{chain}.", (total,))


def _ask_add(rng: np.random.Generator, grid: Grid) -> Question:
    digits = [int(digit) for digit in rng.integers(0, 10, size=4)]
    numbers = ", ".join(str(digit) for digit in digits)
    return Question("add", f"Add {numbers}.", str(sum(digits)), f"Then {_add_up(digits)}.", _plausible_sums(4))
