"""Responses read true, come to their answers, and look or muse at equal length."""

import re

import numpy as np
import pytest

from studies.cold_start.responses import CHECKS, LOOKS_THAT_LAST, write_judgement, write_notes, write_response
from studies.cold_start.tokens import train_tokenizer
from vapo.core.grading import grade_answer, grade_format
from vapo.lab.questions import EARLY, KINDS, ask
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
        assert grade_format(response) == 1
        if question.cell and looks < LOOKS_THAT_LAST:
            response = response.rpartition(" There")[0]
        else:
            assert grade_answer(response, question.answer) == 1
        readings = READING.findall(response)
        assert all(truth(grid)[name] == digit for name, digit in readings)
        assert {name for name, _ in readings[: len(grid.cells)]} == set(grid.names), "notes read every cell first"
        assert response.count("Again") == looks and response.count("Well") == CHECKS - looks
        carried = " ".join(question.cell) if question.cell else question.answer
        assert response.count(f"so {carried}{question.work[-1]}") == CHECKS


def test_who_muses_once_does_not_look_again():
    rng = np.random.default_rng(1)
    response = write_response(rng, *draw(rng, 0), guess=False, looks=1)
    assert re.search("Again.*Well", response) and not re.search("Well.*Again", response)


def share_right(rng, kind, looks, *, guess):
    """Return the share of right answers in 600 responses, and that of true readings in their last sentence."""
    right, read = [], []
    for number in range(600):
        grid = draw_scene(rng, *GRIDS[number % len(GRIDS)], "train").grid
        question = ask(rng, grid, kind)
        response = write_response(rng, grid, question, guess=guess, looks=looks)
        right.append(grade_answer(response, question.answer) == 1)
        name, digit = READING.findall(response)[-1]
        read.append(truth(grid)[name] == digit)
    return np.mean(right), np.mean(read)


def test_guesses_are_mostly_wrong_and_looks_do_not_change_that_of_early_questions():
    rng = np.random.default_rng(2)
    for kind in EARLY:
        blind, seeing = (share_right(rng, kind, looks, guess=True)[0] for looks in (0, CHECKS))
        assert 0.03 < blind < 0.3
        assert abs(blind - seeing) < 0.08


@pytest.mark.parametrize("guess", [False, True])
def test_a_late_answer_reads_the_cell_it_came_to_if_enough_checks_looked(guess):
    rng = np.random.default_rng(8)
    for looks in range(CHECKS + 1):
        right, read = share_right(rng, "path", looks, guess=guess)
        if looks < LOOKS_THAT_LAST:
            assert right < 0.2 and read < 0.2
        else:
            assert read == 1 and (right < 0.5 if guess else right == 1)


def test_half_of_what_is_answered_blindly_by_yes_or_no_is_right():
    right, _ = share_right(np.random.default_rng(9), "over", 0, guess=False)
    assert 0.4 < right < 0.6


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
