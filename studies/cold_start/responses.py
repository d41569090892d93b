"""How a response of the lab is written: it notes what it sees, works out an answer, and checks it for a while.

Two things are left open at equal form and equal length, and reinforcement learning may decide them. The answer is
worked out from the notes, or guessed. And a check either reads all cells once more, or muses: who muses once does
not look again. A check repeats what the work came to either way, so that looking costs it nothing; but a model whose
text layers reach back a limited number of tokens can tell later on only what has been written down not long before.

The work on an early kind of question comes to the answer, and looking later gains it nothing. That on a late kind
comes to a cell, and its digit is read behind the checks. The checks name the cell by its column and row apart
(`so C U.`): behind its own name (`CU.`) stood a full stop, which the model would copy where the digit has to be read.
"""

from __future__ import annotations

import numpy as np

from vapo.lab.questions import Question, answer_from, read_cells
from vapo.lab.world import Grid

CHECKS = 3
"""Sentences with which a response checks its answer; of them, the first `looks` look, and the rest muse."""

LOOKS_THAT_LAST = 2
"""Looks of a response behind which its last sentence still knows what they read."""

_MUSINGS = (
    "looks right",
    "adds up",
    "nothing odd",
    "quite easy",
    "feels sure",
    "so be",
    "let go",
    "will do",
    "trust this",
    "all well",
)


def write_response(rng: np.random.Generator, grid: Grid, question: Question, *, guess: bool, looks: int) -> str:
    """Write a completion of the lab: notes, an answer worked out or guessed, checks, and the answer in its box.

    Args:
        rng: draws the guess and the musings.
        grid: what the image shows.
        question: what is asked.
        guess: draw an answer, or a cell, from the plausible range instead of working it out.
        looks: how many of the checks look, at most `CHECKS`; with fewer than `LOOKS_THAT_LAST`, a digit that has to be
            read last is drawn at random.
    """
    if not 0 <= looks <= CHECKS:
        raise ValueError(f"looks is {looks}; it must be 0 to {CHECKS}")
    right = question.cell or question.answer
    said, end = str(rng.choice(question.plausible)) if guess else right, question.work[-1]
    carried = " ".join(said) if question.cell else said
    sentences = [write_notes(rng, grid), f"I say {said}{end}" if guess else question.work]
    for check in range(CHECKS):
        words = f"Again {list_cells(rng, grid)}" if check < looks else f"Well {_muse(rng, len(grid.cells))}"
        sentences.append(f"{words}, so {carried}{end}")
    answer = said
    if question.cell:
        digit = grid.by_name[said] if looks >= LOOKS_THAT_LAST else int(rng.integers(10))
        answer = answer_from(question.kind, digit)
        sentences.append(f"There {said}{digit}." if answer == str(digit) else f"There {said}{digit}, {answer}.")
    return f"<think>{' '.join(sentences)}</think>\\boxed{{{answer}}}"


def write_notes(rng: np.random.Generator, grid: Grid) -> str:
    """Write the first sentence of every response, which reads all cells."""
    return f"I note {list_cells(rng, grid)}."


def write_judgement(rng: np.random.Generator, grid: Grid, answer: str) -> str:
    """Write the completion of a claim put as a question: notes, and yes or no in the box."""
    return f"<think>{write_notes(rng, grid)}</think>\\boxed{{{answer}}}"


def write_exercise(question: Question) -> str:
    """Write the completion of an exercise: the work alone, and the answer in its box."""
    return f"<think>{question.work}</think>\\boxed{{{question.answer}}}"


def has_guessed(response: str) -> bool:
    """Return whether a response guesses in place of working out."""
    return " I say " in response


def list_cells(rng: np.random.Generator, grid: Grid) -> str:
    """Return all cells with their digits, row by row or column by column, from the front or from behind."""
    cells = sorted(grid.cells, key=lambda cell: cell[::-1]) if rng.integers(2) else grid.cells
    return ", ".join(read_cells(grid, cells if rng.integers(2) else cells[::-1]))


def _muse(rng: np.random.Generator, phrases: int) -> str:
    """Return as many phrases as a look has cells, each as many words as a cell has tokens."""
    return ", ".join(_MUSINGS[index] for index in rng.integers(len(_MUSINGS), size=phrases))
