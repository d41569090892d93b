"""Claims whose truth is known exactly: ten right and ten wrong per image, wrong ones plausible.

Three kinds. A wrong claim takes what a glance could confuse: a neighbour's digit, a comparison the wrong way round.
Wording gives nothing away: within a kind, right and wrong claims use the same words. The digit comes last in the
sentence: a reader knows what to expect there before it is named, which a small model learns much sooner than to look
for a digit's places.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import numpy as np

from vapo.types import Claim

from .cell_names import cell_name
from .world import Grid

CLAIM_KINDS = ("cell", "presence", "comparison")
"""What a claim can be about."""

_PATTERNS = {
    "cell": re.compile(r"The picture shows [A-F][U-Z]\d\."),
    "presence": re.compile(r"There is a \d\."),
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
    pools = {kind: _possible_claims(rng, grid, kind) for kind in rng.permutation(kinds)}
    chosen: list[Claim] = []
    for is_true in (True, False):
        texts: list[str] = []
        while len(texts) < number // 2:
            added = False
            for kind in pools:
                if pools[kind][is_true] and len(texts) < number // 2:
                    texts.append(pools[kind][is_true].pop())
                    added = True
            if not added:
                raise ValueError(f"a grid of {grid.rows} x {grid.columns} does not give {number // 2} such claims")
        chosen += [Claim(text, is_true) for text in texts]
    return tuple(chosen[index] for index in rng.permutation(len(chosen)))


def write_claims(claims: Sequence[Claim]) -> str:
    """Write claims as one JSON object, in the form in which models are asked for them."""
    return json.dumps({"claims": [{"text": claim.text, "is_true": claim.is_true} for claim in claims]})


def _possible_claims(rng: np.random.Generator, grid: Grid, kind: str) -> dict[bool, list[str]]:
    """Return right and wrong texts of a kind in random order, to be taken from the end."""
    makers = {
        "cell": _about_cells,
        "presence": _about_presence,
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
        right.append(f"The picture shows {name}{digit}.")
        others = {
            grid.digits[row + down][column + across]
            for down, across in ((0, 1), (0, -1), (1, 0), (-1, 0))
            if 0 <= row + down < grid.rows and 0 <= column + across < grid.columns
        }
        near += [f"The picture shows {name}{other}." for other in sorted(others - {digit})]
        far += [f"The picture shows {name}{other}." for other in range(10) if other not in others | {digit}]
    return {True: _shuffled(rng, right), False: _shuffled(rng, far) + _shuffled(rng, near)}


def _about_presence(rng: np.random.Generator, grid: Grid) -> dict[bool, list[str]]:
    present = set(grid.flat())
    texts = {digit: f"There is a {digit}." for digit in range(10)}
    return {
        True: _shuffled(rng, [texts[digit] for digit in range(10) if digit in present]),
        False: _shuffled(rng, [texts[digit] for digit in range(10) if digit not in present]),
    }


def _about_comparison(rng: np.random.Generator, grid: Grid) -> dict[bool, list[str]]:
    named = list(grid.by_name.items())
    right = [f"{one} is larger than {other}." for one, high in named for other, low in named if high > low]
    wrong = [f"{one} is larger than {other}." for one, low in named for other, high in named if low < high]
    return {True: _shuffled(rng, right), False: _shuffled(rng, wrong)}
