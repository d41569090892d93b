from __future__ import annotations

import re
from dataclasses import replace

import pytest
from lab.demo.made_outcome import make_outcome

from vapo.diagnosis.findings import EarlyAnswer, ProbedClaim, QuestionFindings
from vapo.diagnosis.question_measures import claims_right
from vapo.lab.demo.paired import EARLY_ANSWERS, LATE_ANSWERS, LATE_CLAIMS, LENGTH, compare
from vapo.lab.demo.table import format_outcome


def ask(number: int, right: bool, tokens: int, *claims: tuple[float, bool]) -> QuestionFindings:
    """A question with claims at depths, each judged rightly or not."""
    probed = tuple(ProbedClaim(depth, 1, "image", "c", True, 0.9 if correct else 0.1) for depth, correct in claims)
    early = (EarlyAnswer(0.25, 1, "1", not right), EarlyAnswer(1.0, 2, "1", right))
    return QuestionFindings(
        f"q{number}", f"d{number}", "?", "1", ("a",) * tokens, (0, 1), "1", right, True, early=early, probed=probed
    )


@pytest.fixture
def rows():
    model = make_outcome().models[0]
    before = [ask(0, True, 10, (0.0, True), (1.0, True)), ask(1, False, 10, (0.0, False), (0.8, True), (1.0, False))]
    grpo = [ask(0, True, 12, (0.0, True), (1.0, False)), ask(1, True, 14, (0.0, True), (1.0, False))]
    vapo = [ask(0, False, 11, (0.0, True), (1.0, True)), ask(1, True, 11, (0.0, True))]
    models = [replace(model, questions=tuple(questions)) for questions in (before, grpo, vapo)]
    return {row.measure: row for row in compare(*models, seed=0)}


def test_measures_are_paired_by_question(rows):
    """Answers: before 1 0, GRPO 1 1, VAPO 0 1. GRPO less before: 0 and 1, so 1/2; VAPO less before: -1 and 1, so 0;
    VAPO less GRPO: -1 and 0, so -1/2. Lengths: 10 10, 12 14, 11 11; VAPO less GRPO: -1 and -3, so -2."""
    answers, length = rows[EARLY_ANSWERS], rows[LENGTH]
    assert [answers.before.value, answers.grpo.value, answers.vapo.value] == [0.5, 1.0, 0.5]
    assert [answers.grpo_change.value, answers.vapo_change.value, answers.difference.value] == [0.5, 0.0, -0.5]
    assert (length.difference.value, length.is_share, answers.is_share) == (-2.0, False, True)


def test_questions_without_a_measure_are_left_out_of_pairs(rows):
    """Late claims: before 1 and 1/2, GRPO 0 and 0, VAPO 1 on the first question alone."""
    late = rows[LATE_CLAIMS]
    assert [late.before.value, late.grpo.value, late.vapo.value] == [0.75, 0.0, 1.0]
    assert (late.difference.value, late.difference.num_questions) == (1.0, 1)
    assert (late.grpo_change.value, late.grpo_change.num_questions) == (-0.75, 2)
    nowhere = rows["claims judged right, quarter 2 of 4"]
    assert nowhere.grpo is None and nowhere.difference is None


def test_the_table_says_where_pairs_are_fewer_and_keeps_its_columns_apart(rows, tmp_path):
    lines = format_outcome(replace(make_outcome(), rows=tuple(rows.values())), tmp_path).splitlines()
    late = next(line for line in lines if line.startswith(f"{LATE_CLAIMS}, %"))
    assert late.endswith("+100.0 [+0.0, +100.0]*") and sum(line.endswith("*") for line in lines) == 1
    assert any(
        line.startswith("* on the questions on which both") for line in lines
    ) and f"{LATE_CLAIMS}: 1" in " ".join(lines)
    assert all("][" not in line and not re.search(r"\][-\d]", line) for line in lines)


def test_late_questions_are_told_by_their_text(rows):
    assert rows[LATE_ANSWERS].grpo is None
    made = {row.measure: row for row in make_outcome(12).rows}
    assert made[LATE_ANSWERS].vapo.num_questions + made[EARLY_ANSWERS].vapo.num_questions == 12


def test_a_quarter_holds_its_end_and_the_image_alone():
    question = ask(0, True, 4, (0.0, True), (0.5, True), (0.75, False), (0.76, True))
    assert [claims_right(question, "image", quarter=quarter) for quarter in (1, 2, 3, 4)] == [None, 1.0, 0.0, 1.0]
    blind = replace(question, probed=tuple(replace(claim, view="blank") for claim in question.probed or ()))
    assert claims_right(blind, "image", quarter=4) is None
