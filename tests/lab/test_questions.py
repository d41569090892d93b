"""Answers are worked out here once more, from the words of the question and the bare digits."""

import re

import numpy as np
import pytest

from vapo.lab.questions import KINDS, ask, ask_claim
from vapo.lab.world import GRIDS, draw_scene
from vapo.types import Claim

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
    if found := re.fullmatch(r"What is the larger sum, that of (row .|column .) or of (row .|column .)\?", text):
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
def test_answers_are_right_and_work_reads_true(kind):
    rng = np.random.default_rng(5)
    for index in range(80):
        grid = draw_scene(rng, *GRIDS[index % len(GRIDS)], "train").grid
        question = ask(rng, grid, kind)
        assert question.kind == kind
        assert question.answer == str(answer(question.text, grid.digits))
        for column, row, digit in re.findall(r"([A-F])([U-Z])(\d)", question.work):
            assert grid.digits["UVWXYZ".index(row)]["ABCDEF".index(column)] == int(digit)
        assert question.answer in re.findall(r"\d+", question.work)


def test_sums_are_added_up_term_by_term():
    rng = np.random.default_rng(6)
    for _ in range(80):
        question = ask(rng, draw_scene(rng, 3, 3, "train").grid, "sum")
        total = 0
        for term, running in re.findall(r"[A-F][U-Z](\d)(?: makes (\d+))?", question.work):
            total += int(term)
            assert not running or int(running) == total
        assert question.answer == str(total)


def test_counting_names_each_cell_that_counts():
    rng = np.random.default_rng(7)
    for _ in range(80):
        question = ask(rng, draw_scene(rng, 2, 3, "train").grid, "count")
        assert len(re.findall(r"[A-F][U-Z]", question.work)) == int(question.answer)


def test_a_claim_is_asked_as_it_stands():
    assert ask_claim(Claim("There is a 3.", False)) == ("There is a 3. Is this right?", "no")
    assert ask_claim(Claim("There is a 4.", True))[1] == "yes"


def test_an_unknown_kind_is_refused():
    grid = draw_scene(np.random.default_rng(0), 2, 2, "train").grid
    with pytest.raises(KeyError):
        ask(np.random.default_rng(0), grid, "colour")
