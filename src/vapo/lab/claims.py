"""Claims whose truth is known exactly: ten right and ten wrong per picture, wrong ones plausible.

Five kinds. A wrong claim takes what a glance could confuse: a neighbour's digit, a digit of another line, a count
that is off by one, a comparison the wrong way round. Wording gives nothing away: within a kind, right and wrong
claims use the same words, and counts claim the same numbers. The digit comes last in the sentence: a reader knows
what to expect there before it is named, which a small model learns much sooner than to look for a digit's places.
"""

from __future__ import annotations

import re

import numpy as np

from vapo.types import Claim

from .marks import cell_name, column_mark, row_mark
from .world import Grid

CLAIM_KINDS = ("cell", "presence", "position", "count", "comparison")
"""What a claim can be about."""

_PATTERNS = {
    "cell": re.compile(r"Cell [A-F][U-Z] shows a \d\."),
    "presence": re.compile(r"The grid shows a \d\."),
    "position": re.compile(r"(Row [U-Z]|Column [A-F]) shows a \d\."),
    "count": re.compile(r"Exactly \d cells? shows? a \d\."),
    "comparison": re.compile(r"[A-F][U-Z] is larger than [A-F][U-Z]\."),
}


def claim_kind(text: str) -> str:
    """Return the kind of a claim of the lab. Raises ValueError for a text the lab does not write."""
    for kind, pattern in _PATTERNS.items():
        if pattern.fullmatch(text):
            return kind
    raise ValueError(f"not a claim of the lab: {text!r}")


def make_claims(
    rng: np.random.Generator, grid: Grid, *, number: int = 20, kinds: tuple[str, ...] = CLAIM_KINDS
) -> tuple[Claim, ...]:
    """Make `number` different claims about a grid, half of them right, kinds in equal parts, in random order.

    Where a grid does not hold enough claims of a kind, claims of the other kinds take their place.
    Raises ValueError if `number` is odd or more than the grid can give.
    """
    if number < 2 or number % 2:
        raise ValueError(f"{number} claims cannot be half right and half wrong; ask for an even number")
    pools = {kind: _possible_claims(rng, grid, kind) for kind in kinds}
    chosen: list[Claim] = []
    for is_true in (True, False):
        texts: list[str] = []
        while len(texts) < number // 2:
            added = False
            for kind in kinds:
                if pools[kind][is_true] and len(texts) < number // 2:
                    texts.append(pools[kind][is_true].pop())
                    added = True
            if not added:
                raise ValueError(f"a grid of {grid.rows} x {grid.columns} does not give {number // 2} such claims")
        chosen += [Claim(text, is_true) for text in texts]
    return tuple(chosen[index] for index in rng.permutation(len(chosen)))


def _possible_claims(rng: np.random.Generator, grid: Grid, kind: str) -> dict[bool, list[str]]:
    """Return right and wrong texts of a kind in random order, to be taken from the end."""
    makers = {
        "cell": _about_cells,
        "presence": _about_presence,
        "position": _about_position,
        "count": _about_counts,
        "comparison": _about_comparison,
    }
    return makers[kind](rng, grid)


def _shuffled(rng: np.random.Generator, texts: list[str]) -> list[str]:
    return [texts[index] for index in rng.permutation(len(texts))]


def _about_cells(rng: np.random.Generator, grid: Grid) -> dict[bool, list[str]]:
    right: list[str] = []
    near: list[str] = []
    far: list[str] = []
    for row, column in grid.cells:
        name, digit = cell_name(row, column), grid.digits[row][column]
        right.append(f"Cell {name} shows a {digit}.")
        others = {
            grid.digits[row + down][column + across]
            for down, across in ((0, 1), (0, -1), (1, 0), (-1, 0))
            if 0 <= row + down < grid.rows and 0 <= column + across < grid.columns
        }
        near += [f"Cell {name} shows a {other}." for other in sorted(others - {digit})]
        far += [f"Cell {name} shows a {other}." for other in range(10) if other not in others | {digit}]
    return {True: _shuffled(rng, right), False: _shuffled(rng, far) + _shuffled(rng, near)}


def _about_presence(rng: np.random.Generator, grid: Grid) -> dict[bool, list[str]]:
    present = set(grid.flat())
    texts = {digit: f"The grid shows a {digit}." for digit in range(10)}
    return {
        True: _shuffled(rng, [texts[digit] for digit in range(10) if digit in present]),
        False: _shuffled(rng, [texts[digit] for digit in range(10) if digit not in present]),
    }


def _about_position(rng: np.random.Generator, grid: Grid) -> dict[bool, list[str]]:
    lines = [(f"Row {row_mark(row)}", set(grid.digits[row])) for row in range(grid.rows)]
    lines += [
        (f"Column {column_mark(column)}", {line[column] for line in grid.digits}) for column in range(grid.columns)
    ]
    right: list[str] = []
    near: list[str] = []
    far: list[str] = []
    for line, digits in lines:
        for digit in range(10):
            text = f"{line} shows a {digit}."
            (right if digit in digits else near if digit in grid.flat() else far).append(text)
    return {True: _shuffled(rng, right), False: _shuffled(rng, far) + _shuffled(rng, near)}


def _about_counts(rng: np.random.Generator, grid: Grid) -> dict[bool, list[str]]:
    counts = {digit: grid.flat().count(digit) for digit in range(10)}
    right: list[str] = []
    wrong: list[str] = []
    for digit in _shuffled(rng, [str(digit) for digit in range(10) if counts[digit]]):
        number = counts[int(digit)]
        off_by_one = [other for other in range(10) if other != int(digit) and abs(counts[other] - number) == 1]
        present = [other for other in off_by_one if counts[other]] or off_by_one
        if present:
            right.append(_count_text(number, int(digit)))
            wrong.append(_count_text(number, int(rng.choice(present))))
    return {True: right, False: list(dict.fromkeys(wrong))}


def _count_text(number: int, digit: int) -> str:
    return f"Exactly {number} {'cell shows' if number == 1 else 'cells show'} a {digit}."


def _about_comparison(rng: np.random.Generator, grid: Grid) -> dict[bool, list[str]]:
    named = list(zip(grid.names, grid.flat(), strict=True))
    right = [f"{one} is larger than {other}." for one, high in named for other, low in named if high > low]
    wrong = [f"{one} is larger than {other}." for one, low in named for other, high in named if low < high]
    return {True: _shuffled(rng, right), False: _shuffled(rng, wrong)}
