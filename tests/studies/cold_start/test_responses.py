"""Responses read true, come to their answers, and look or muse at equal length."""

import re

import numpy as np
import pytest

from studies.cold_start.responses import CHECKS, write_judgement, write_notes, write_response
from studies.cold_start.tokens import train_tokenizer
from vapo.core.grading import grade_answer, grade_format
from vapo.lab.questions import KINDS, ask
from vapo.lab.world import GRIDS, draw_scene

READING = re.compile(r"([A-F][U-Z])(\d)")


def draw(rng, number):
    grid = draw_scene(rng, *GRIDS[number % len(GRIDS)], "train").grid
    return grid, ask(rng, grid, KINDS[number % len(KINDS)])


def truth(grid):
    return dict(zip(grid.names, map(str, grid.flat()), strict=True))


@pytest.mark.parametrize("looks", range(CHECKS + 1))
def test_worked_out_responses_read_true_and_end_right(looks):
    rng = np.random.default_rng(0)
    for number in range(60):
        grid, question = draw(rng, number)
        response = write_response(rng, grid, question, guess=False, looks=looks)
        assert grade_answer(response, question.answer) == 1 and grade_format(response) == 1
        readings = READING.findall(response)
        assert all(truth(grid)[name] == digit for name, digit in readings)
        assert {name for name, _ in readings[: len(grid.cells)]} == set(grid.names), "notes read every cell first"
        assert response.count("Again") == looks and response.count("Well") == CHECKS - looks
        assert response.count(f"so {question.answer}.") == CHECKS


def test_who_muses_once_does_not_look_again():
    rng = np.random.default_rng(1)
    response = write_response(rng, *draw(rng, 0), guess=False, looks=1)
    assert re.search("Again.*Well", response) and not re.search("Well.*Again", response)


def test_guesses_are_mostly_wrong_and_looks_do_not_change_that():
    rng = np.random.default_rng(2)
    right = {looks: [] for looks in (0, CHECKS)}
    for number in range(2000):
        grid, question = draw(rng, number)
        looks = CHECKS * (number % 2)
        response = write_response(rng, grid, question, guess=True, looks=looks)
        right[looks].append(grade_answer(response, question.answer))
    shares = [np.mean(own) for own in right.values()]
    assert all(0.05 < share < 0.3 for share in shares)
    assert abs(shares[0] - shares[1]) < 0.05


def test_looking_takes_as_many_tokens_as_musing():
    tokenizer, rng = train_tokenizer(seed=0), np.random.default_rng(3)
    lengths = {looks: [] for looks in range(CHECKS + 1)}
    for number in range(400):
        grid, question = draw(rng, number)
        for looks, own in lengths.items():
            own.append(len(tokenizer.encode(write_response(rng, grid, question, guess=False, looks=looks))))
    means = [np.mean(own) for own in lengths.values()]
    assert max(means) - min(means) < 0.5
    assert 90 < np.mean(means) < 130


def test_cells_come_in_four_orders():
    grid, _ = draw(np.random.default_rng(4), 0)
    rng = np.random.default_rng(5)
    orders = {tuple(name for name, _ in READING.findall(write_notes(rng, grid))) for _ in range(60)}
    assert len(orders) == 4 and tuple(grid.names) in orders


def test_a_claim_as_a_question_is_answered_from_notes():
    rng = np.random.default_rng(6)
    grid, _ = draw(rng, 0)
    response = write_judgement(rng, grid, "no")
    assert response.endswith("</think>\\boxed{no}") and len(READING.findall(response)) == len(grid.cells)


def test_more_looks_than_checks_are_refused():
    rng = np.random.default_rng(7)
    with pytest.raises(ValueError, match="0 to 3"):
        write_response(rng, *draw(rng, 0), guess=False, looks=4)
