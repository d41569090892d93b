"""Answers are worked out here once more, from the words of the question and the bare digits."""

import re

import numpy as np
import pytest

from vapo.lab.questions import KINDS, LATE, LINES, answer_from, ask, ask_claim, is_late
from vapo.lab.world import GRIDS, draw_scene
from vapo.types import Claim

MOVES = {"right": (0, 1), "left": (0, -1), "down": (1, 0), "up": (-1, 0)}


def line_of(name: str, digits):
    if name.startswith("row"):
        return list(digits["UVWXYZ".index(name[-1])])
    return [line["ABCDEF".index(name[-1])] for line in digits]


def shown(name: str, digits) -> int:
    return digits["UVWXYZ".index(name[1])]["ABCDEF".index(name[0])]


def answer(text: str, digits) -> str:
    if found := re.fullmatch(r"What is the (largest|smallest) digit in (row .|column .)\?", text):
        return str({"largest": max, "smallest": min}[found[1]](line_of(found[2], digits)))
    if found := re.fullmatch(r"Which digit is in (..)\?", text):
        return str(shown(found[1], digits))
    text = re.sub(r"Go (\w+) from (..): which digit\?", r"Start at \2, go \1. Which digit is there?", text)
    found = re.fullmatch(r"Start at (.)(.), (.*)\. (Which digit is there|Is it larger than 4)\?", text)
    assert found is not None, text
    row, column = "UVWXYZ".index(found[2]), "ABCDEF".index(found[1])
    for move in found[3].split(", "):
        row, column = row + MOVES[move.removeprefix("go ")][0], column + MOVES[move.removeprefix("go ")][1]
        assert row >= 0 <= column
    digit = digits[row][column]
    return str(digit) if found[4].startswith("Which") else "yes" if digit > 4 else "no"


@pytest.mark.parametrize("kind", [*KINDS, *LINES])
def test_answers_are_right_and_work_reads_true(kind):
    rng = np.random.default_rng(5)
    for index in range(80):
        grid = draw_scene(rng, *GRIDS[index % len(GRIDS)], "train").grid
        question = ask(rng, grid, kind)
        assert question.kind == kind
        assert question.answer == answer(question.text, grid.digits)
        for name, digit in re.findall(r"([A-F][U-Z])(\d)", question.work):
            assert shown(name, grid.digits) == int(digit)
        assert is_late(question.text) == (kind in LATE)
        if kind in LATE:
            assert not re.search(r"\d", question.work), "the digit is read last"
            assert re.findall(r"[A-F][U-Z]", question.work)[-1] == question.cell
            assert answer_from(kind, shown(question.cell, grid.digits)) == question.answer
        else:
            assert question.work.endswith(f"{question.answer}.")
            assert not question.cell


def test_yes_and_no_are_about_as_often_right():
    rng = np.random.default_rng(6)
    answers = [ask(rng, draw_scene(rng, 2, 3, "train").grid, "over").answer for _ in range(400)]
    assert 0.4 < answers.count("yes") / len(answers) < 0.6


def test_a_claim_is_asked_as_it_stands():
    assert ask_claim(Claim("There is a 3.", False)) == ("There is a 3. Is this right?", "no")
    assert ask_claim(Claim("There is a 4.", True))[1] == "yes"


def test_an_unknown_kind_is_refused():
    grid = draw_scene(np.random.default_rng(0), 2, 2, "train").grid
    with pytest.raises(KeyError):
        ask(np.random.default_rng(0), grid, "colour")
