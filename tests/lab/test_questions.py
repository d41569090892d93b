"""Answers are worked out here once more, from the words of the question and the bare digits."""

import re

import numpy as np
import pytest

from vapo.lab.questions import KINDS, ask
from vapo.lab.world import GRIDS, draw_scene

MOVES = {"right": (0, 1), "left": (0, -1), "down": (1, 0), "up": (-1, 0)}


def line_of(name: str, digits):
    if name.startswith("row"):
        return list(digits["UVWXYZ".index(name[-1])])
    return [line["ABCDEF".index(name[-1])] for line in digits]


def answer(text: str, digits) -> int:
    if found := re.fullmatch(r"What is the sum of (row .|column .)\?", text):
        return sum(line_of(found[1], digits))
    if found := re.fullmatch(r"How many cells show a (\d)\?", text):
        return sum(digit == int(found[1]) for line in digits for digit in line)
    if found := re.fullmatch(r"What is the largest digit in (row .|column .)\?", text):
        return max(line_of(found[1], digits))
    if found := re.fullmatch(r"What is the larger sum, that of (row .) or of (row .)\?", text):
        return max(sum(line_of(found[1], digits)), sum(line_of(found[2], digits)))
    if found := re.fullmatch(r"Which digit is in (.)(.)\?", text):
        return digits["UVWXYZ".index(found[2])]["ABCDEF".index(found[1])]
    found = re.fullmatch(r"Start at (.)(.), (.*)\. Which digit is there\?", text)
    assert found is not None, text
    row, column = "UVWXYZ".index(found[2]), "ABCDEF".index(found[1])
    for move in found[3].split(", "):
        row, column = row + MOVES[move.removeprefix("go ")][0], column + MOVES[move.removeprefix("go ")][1]
        assert row >= 0 <= column
    return digits[row][column]


@pytest.mark.parametrize("kind", [*KINDS, "read"])
def test_answers_are_right_and_careful_chains_read_true(kind):
    rng = np.random.default_rng(5)
    for index in range(80):
        grid = draw_scene(rng, *GRIDS[index % len(GRIDS)], "train").grid
        question = ask(rng, grid, kind)
        assert question.kind == kind
        assert question.answer == str(answer(question.text, grid.digits))
        chain = question.careful()
        assert chain.startswith("<think>")
        assert chain.endswith(f"</think>\\boxed{{{question.answer}}}")
        readings = re.findall(r"([A-F])([U-Z])=(\d)", chain)
        assert readings
        for column, row, digit in readings:
            assert grid.digits["UVWXYZ".index(row)]["ABCDEF".index(column)] == int(digit)
        for one, other, total in re.findall(r"(\d+)\+(\d+)=(\d+)", chain):
            assert int(one) + int(other) == int(total)


def test_hasty_chains_guess_without_looking():
    rng = np.random.default_rng(5)
    right = {kind: [] for kind in KINDS}
    for index in range(1000):
        grid = draw_scene(rng, *GRIDS[index % len(GRIDS)], "train").grid
        question = ask(rng, grid, KINDS[index % len(KINDS)])
        chain = question.hasty(rng)
        assert "=" not in chain
        right[question.kind].append(chain.endswith(f"\\boxed{{{question.answer}}}"))
    assert 0.05 < np.mean([verdict for verdicts in right.values() for verdict in verdicts]) < 0.3


def test_an_unknown_kind_is_refused():
    grid = draw_scene(np.random.default_rng(0), 2, 2, "train").grid
    with pytest.raises(KeyError):
        ask(np.random.default_rng(0), grid, "colour")
