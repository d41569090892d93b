"""Questions whose answer is settled early in a response, and questions that need the image late.

Early ones are answered from notes of the image: the digit of a cell, or of the cell beside it. Late ones begin with
logic, a path to a cell, and end with that cell's digit, read behind everything else, or with whether it is larger than
4. Who guesses at the last of these is right by luck half of the time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from vapo.types import Claim

from .cell_names import cell_name, column_mark, row_mark
from .world import Grid

EARLY = ("read", "beside")
"""Kinds of question that notes answer."""

LATE = ("path", "over")
"""Kinds of question whose digit is read last; "over" is answered by yes or no."""

KINDS = EARLY + LATE
"""Kinds of question in the data set."""

LINES = ("largest", "smallest")
"""Kinds of question about a line, practised in the cold start. Its model reads the line, and seldom finds which of the
digits is asked for."""

_OVER = 4
_LATE_BEGINS = "Start at "
_PLAUSIBLE = {"largest": tuple("3456789"), "smallest": tuple("0123456")}
_MOVES = {"right": (0, 1), "left": (0, -1), "down": (1, 0), "up": (-1, 0)}
_BACK = {"right": "left", "left": "right", "up": "down", "down": "up"}


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a grid.

    Attributes:
        kind: one of `KINDS` or `LINES`, or "glance" or "list", which are exercises.
        text: what is asked.
        answer: the right one.
        work: the sentence that works it out; for a late kind, the cell.
        plausible: what a guess in place of the work is drawn from: answers; for a late kind, cells.
        cell: that a late kind's work comes to; empty for other kinds.
    """

    kind: str
    text: str
    answer: str
    work: str
    plausible: tuple[str, ...]
    cell: str = ""


def answer_from(kind: str, digit: int) -> str:
    """Return the answer to a late kind of question whose cell shows a digit."""
    if kind == "path":
        return str(digit)
    return "yes" if digit > _OVER else "no"


def is_late(text: str) -> bool:
    """Return whether a question of the data set is of a late kind."""
    return text.startswith(_LATE_BEGINS)


def ask_claim(claim: Claim) -> tuple[str, str]:
    """Return a claim as a question of its own, and its answer."""
    return f"{claim.text} Is this right?", "yes" if claim.is_true else "no"


def ask(rng: np.random.Generator, grid: Grid, kind: str) -> Question:
    """Draw a question of a kind about a grid. Raises KeyError for a kind that does not exist."""
    return {
        "largest": partial(_ask_line, kind="largest", choose=max),
        "smallest": partial(_ask_line, kind="smallest", choose=min),
        "path": partial(_ask_path, kind="path"),
        "over": partial(_ask_path, kind="over"),
        "read": partial(_ask_read, kind="read"),
        "glance": partial(_ask_read, kind="glance"),
        "beside": _ask_beside,
        "list": _ask_list,
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


def _ask_line(rng: np.random.Generator, grid: Grid, kind: str, choose: Callable[[list[int]], int]) -> Question:
    line, cells = _draw_line(rng, grid)
    answer = choose([grid.digits[row][column] for row, column in cells])
    work = f"{_begin(line)}: {', '.join(read_cells(grid, cells))}, {kind} {answer}."
    return Question(kind, f"What is the {kind} digit in {line}?", str(answer), work, _PLAUSIBLE[kind])


def _draw_walk(rng: np.random.Generator, grid: Grid, moves: int) -> list[tuple[str, str]]:
    """Draw a start and moves within the grid, none straight back: (move, name of the cell it leads to), from ""."""
    row, column = int(rng.integers(grid.rows)), int(rng.integers(grid.columns))
    walk = [("", cell_name(row, column))]
    for _ in range(moves):
        open_moves = [
            move
            for move, (down, across) in _MOVES.items()
            if 0 <= row + down < grid.rows and 0 <= column + across < grid.columns and move != _BACK.get(walk[-1][0])
        ]
        move = str(rng.choice(open_moves))
        row, column = row + _MOVES[move][0], column + _MOVES[move][1]
        walk.append((move, cell_name(row, column)))
    return walk


def _ask_path(rng: np.random.Generator, grid: Grid, kind: str) -> Question:
    (_, start), *walk = _draw_walk(rng, grid, 2)
    cell = walk[-1][1]
    asked_of_it, end = ("Which digit is there?", ".") if kind == "path" else (f"Is it larger than {_OVER}?", "?")
    text = f"{_LATE_BEGINS}{start}, {', '.join(f'go {move}' for move, _ in walk)}. {asked_of_it}"
    work = f"Start {start}, {', '.join(f'{move} {name}' for move, name in walk)}{end}"
    return Question(kind, text, answer_from(kind, grid.by_name[cell]), work, tuple(grid.names), cell)


def _ask_beside(rng: np.random.Generator, grid: Grid) -> Question:
    (_, start), (move, cell) = _draw_walk(rng, grid, 1)
    digit = str(grid.by_name[cell])
    text = f"Go {move} from {start}: which digit?"
    return Question("beside", text, digit, f"Start {start}, {move} {cell}{digit}.", tuple("0123456789"))


def _ask_read(rng: np.random.Generator, grid: Grid, kind: str) -> Question:
    row, column = grid.cells[rng.integers(len(grid.cells))]
    digit = str(grid.digits[row][column])
    name = cell_name(row, column)
    work = f"{name}{digit}." if kind == "glance" else f"Start {name}{digit}."
    return Question(kind, f"Which digit is in {name}?", digit, work, tuple("0123456789"))


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
