"""Scores of a suite, and the difference of two models on it."""

from dataclasses import replace

import numpy as np
import pytest
from evaluation.suite_runs.made_answers import answer_all, answer_hallusion, answer_rows, answer_wemath, make_answer
from scipy import stats

from vapo.core.intervals import clustered_interval, wilson_interval
from vapo.diagnosis.estimate_words import is_clear
from vapo.errors import ConfigError, DataError
from vapo.evaluation.suite_runs.comparison import compare_answers
from vapo.evaluation.suite_runs.result import SuiteResult
from vapo.evaluation.suite_runs.scores import score_answers
from vapo.evaluation.suite_runs.table import format_differences, format_result
from vapo.evaluation.suites.benchmark import IMAGE
from vapo.evaluation.suites.suite import PAPER


def find(score, name):
    return next(one for one in score.benchmarks if one.name == name)


def test_a_plain_benchmark_is_a_rate_with_wilsons_interval():
    answers = [*answer_rows("mmstar", [1] * 7 + [0] * 2), make_answer("mmstar", 9, 0, is_parsed=False)]
    score = find(score_answers(PAPER, answers), "mmstar")
    assert (score.score.value, score.score.low, score.score.high) == (0.7, *wilson_interval(7, 10))
    # What could not be parsed is counted apart from what was wrong.
    assert (score.wrong.value, score.unparsed.value, score.num_questions) == (0.2, 0.1, 10)
    assert score.num_tokens.value == 14.5 and score.grader == "rule"


def test_questions_about_one_image_count_together():
    scores = [1, 1, 0, 0, 1, 1, 1, 0, 0, 0]
    answers = [
        make_answer("mmstar", row, score, attributes={IMAGE: f"image {row // 2}"}) for row, score in enumerate(scores)
    ]
    score = find(score_answers(PAPER, answers), "mmstar")
    expected = clustered_interval([2, 0, 2, 1, 0], [2] * 5)
    assert (score.score.value, score.score.low, score.score.high) == (0.5, *expected)
    assert score.num_questions == 10 and (score.wrong.low, score.wrong.high) == pytest.approx(expected)
    # An answer kept before images were known is of the same question.
    known = replace(answers[0], attributes={})
    change = compare_answers(PAPER, [known, *answers[1:]], [replace(one, score=1.0) for one in answers])[0].change
    assert (change.value, change.num_questions) == (0.5, 5)


@pytest.mark.parametrize("count", [10, 200])
def test_four_answers_gained_and_none_lost_are_no_clear_difference(count):
    before = answer_rows("mmstar", [0] * count)
    change = compare_answers(PAPER, before, answer_rows("mmstar", [1] * 4 + [0] * (count - 4)))[0].change
    assert change.value == pytest.approx(4 / count) and change.low <= 0 < change.high and not is_clear(change)
    change = compare_answers(PAPER, before, answer_rows("mmstar", [1] * 8 + [0] * (count - 8)))[0].change
    assert is_clear(change)


def test_few_groups_get_students_interval():
    answers = answer_wemath([(1, 1, 1), (1, 1, 0), (1, 0, 1), (0, 0, 0)])
    score = find(score_answers(PAPER, answers), "wemath").score
    assert (score.low, score.high) == pytest.approx(
        np.clip(stats.t.interval(0.95, 3, 1.5 / 4, stats.sem([1, 0, 0.5, 0])), 0, 1)
    )


def test_wemath_counts_problems_and_hallusionbench_three_shares():
    answers = answer_wemath([(1, 1, 1), (1, 1, 0), (1, 0, 1), (0, 0, 0)])
    answers += answer_hallusion([((1, 1), (1, 0)), ((1, 1), (1, 1))])
    score = score_answers(PAPER, answers)
    assert find(score, "wemath").score.value == pytest.approx(1.5 / 4)
    hallusion = find(score, "hallusionbench")
    assert hallusion.parts == pytest.approx({"aAcc": 7 / 8, "fAcc": 3 / 4, "qAcc": 3 / 4})
    assert hallusion.score.value == pytest.approx((7 / 8 + 3 / 4 + 3 / 4) / 3)
    assert hallusion.score.low < hallusion.score.value < hallusion.score.high
    assert score.mean is None  # eight benchmarks are missing


def test_problems_asked_in_part_have_no_score():
    partly = [answer for answer in answer_wemath([(1, 1, 1)]) if answer.row < 2]
    assert find(score_answers(PAPER, partly), "wemath").score is None


def test_the_mean_weighs_benchmarks_the_same():
    score = score_answers(PAPER, answer_all(0.6))
    values = [one.score.value for one in score.benchmarks]
    assert score.mean.value == pytest.approx(np.mean(values)) and len(values) == 10
    assert score.mean.low < score.mean.value < score.mean.high
    # Ten benchmarks of 40 questions tell more than one.
    assert score.mean.high - score.mean.low < min(one.score.high - one.score.low for one in score.benchmarks)


def test_other_benchmarks_and_nothing_are_refused():
    with pytest.raises(ConfigError, match="no benchmark 'mmlu'"):
        score_answers(PAPER, [make_answer("mmlu", 0, 1)])
    with pytest.raises(DataError, match="no answers to score"):
        score_answers(PAPER, [])


def test_pairing_sees_what_two_intervals_hide():
    """The second model answers what the first does, and one question in ten more: all resamples agree on the sign."""
    first = answer_rows("mmstar", [number % 2 for number in range(200)])
    second = [replace(answer, score=1.0 if answer.row % 10 == 0 else answer.score) for answer in first]
    (difference,) = compare_answers(PAPER, first, second)
    assert difference.change.value == pytest.approx(0.1) and difference.change.low > 0.05
    scores = [find(score_answers(PAPER, answers), "mmstar").score for answers in (first, second)]
    assert scores[0].high > scores[1].low  # apart, they overlap


def test_a_model_does_not_differ_from_itself():
    answers = answer_all(0.5)
    differences = compare_answers(PAPER, answers, answers)
    assert len(differences) == 11 and differences[-1].name is None
    assert all((one.change.value, one.change.low) == (0, None) for one in differences)


def test_the_paired_interval_covers_as_often_as_promised():
    """Two models of rates 0.5 and 0.6 on 150 shared questions: 95 % of intervals should hold 0.1; 100 are tried."""
    held = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        hard = rng.random(150)
        first, second = (
            answer_rows("mmstar", (hard + rng.normal(0, 0.1, 150) < rate).astype(float)) for rate in (0.5, 0.6)
        )
        change = compare_answers(PAPER, first, second, seed=seed)[0].change
        held += change.low <= 0.1 <= change.high
    assert held >= 88  # binomial(100, 0.95) is below with probability 0.001


def test_different_questions_and_graders_are_not_compared():
    first = answer_rows("mmvet", [1, 0, 1])
    with pytest.raises(DataError, match="MM-Vet, row 1: the two were asked different questions"):
        compare_answers(PAPER, first, [first[0], replace(first[1], id="other"), first[2]])
    with pytest.raises(DataError, match="graded by rule for the first and by gpt for the second"):
        compare_answers(PAPER, first, [replace(answer, grader="gpt") for answer in first])
    with pytest.raises(DataError, match="no question in common"):
        compare_answers(PAPER, first, answer_rows("mmstar", [1]))


def test_only_common_questions_are_compared():
    (difference,) = compare_answers(PAPER, answer_rows("mmstar", [1, 0, 1, 1]), answer_rows("mmstar", [0, 0]))
    assert (difference.num_questions, difference.first, difference.second) == (2, 0.5, 0.0)


def test_tables_name_the_harness_and_what_was_left_out():
    score = score_answers(PAPER, answer_all(0.5))
    result = SuiteResult("paper", "runs/a", score, "lmms-eval 0.7.3", "vllm", 1234.5, {})
    shown = format_result(PAPER, result)
    assert "ours: lmms-eval 0.7.3, vllm, greedy" in shown and "published: arXiv 2509.25848, with VLMEvalKit" in shown
    assert "VAPO-Thinker-7B" in shown and "55.9" in shown and "1,234 tokens per second" in shown
    assert "MathVerse: 40 of 788 questions were asked." in shown
    assert "graded by rule, stricter than the published judge" in shown
    few = replace(result, score=score_answers(PAPER, answer_rows("mmstar", [1, 0])), harness=None)
    shown = format_result(PAPER, few)
    assert "harness not recorded" in shown and "Not asked: MathVerse, MathVista" in shown and "\nmean" not in shown
    differences = compare_answers(PAPER, answer_all(0.4), answer_all(0.6, seed=1))
    shown = format_differences(PAPER, ["runs/a", "runs/b"], differences)
    assert shown.startswith("runs/b less runs/a, on the questions that both answered") and "mean" in shown
