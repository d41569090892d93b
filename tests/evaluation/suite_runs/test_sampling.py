"""avg@k and pass@k of a suite by hand, and the difference of two models in them."""

from dataclasses import replace

import numpy as np
import pytest
from evaluation.suite_runs.made_answers import answer_hallusion, answer_rows, answer_wemath

from vapo.core.intervals import clustered_interval, wilson_interval
from vapo.errors import DataError
from vapo.evaluation.suite_runs.result import SuiteResult
from vapo.evaluation.suite_runs.sampled_comparison import compare_samples
from vapo.evaluation.suite_runs.sampling import list_tries, pass_at
from vapo.evaluation.suite_runs.scores import score_answers
from vapo.evaluation.suite_runs.table import format_differences, format_result
from vapo.evaluation.suites.answers import read_answers, write_answers
from vapo.evaluation.suites.benchmark import IMAGE
from vapo.evaluation.suites.suite import PAPER


def draw(answers, completion):
    return [replace(answer, completion=completion) for answer in answers]


def sample_rows(scores_QK, benchmark="mmstar", greedy=0, **more):
    """Greedy answers, all of one score, and K sampled ones to each of Q questions."""
    columns = list(zip(*scores_QK, strict=True))
    answers = answer_rows(benchmark, [greedy] * len(scores_QK), **more)
    return answers + [
        one for k, scores in enumerate(columns, 1) for one in draw(answer_rows(benchmark, scores, **more), k)
    ]


def score(answers):
    return score_answers(PAPER, answers).benchmarks[0]


@pytest.mark.parametrize(
    ("j", "right", "of", "value"),
    [(1, 3, 8, 3 / 8), (2, 1, 4, 1 / 2), (2, 2, 4, 5 / 6), (3, 2, 4, 1), (4, 0, 4, 0), (4, 4, 4, 1), (8, 1, 8, 1)],
)
def test_pass_at_k_by_hand(j, right, of, value):
    assert pass_at(j, right, of) == pytest.approx(value)


def test_pass_at_k_is_unbiased():
    """Its mean over draws of 5 responses that are each right with 0.3 is 1 - 0.7^j."""
    counts = np.random.default_rng(0).binomial(5, 0.3, 20000)
    for j in (1, 2, 3):
        values = [pass_at(j, int(count), 5) for count in counts]
        assert np.mean(values) == pytest.approx(1 - 0.7**j, abs=4 * np.std(values) / np.sqrt(len(values)))


def test_tries_are_told_at_powers_of_two():
    assert [list_tries(k) for k in (1, 6, 8)] == [[1], [1, 2, 4, 6], [1, 2, 4, 8]]
    with pytest.raises(ValueError, match="pass@5 of 1 right among 4"):
        pass_at(5, 1, 4)


def test_a_plain_benchmark_averages_completions():
    one = score(sample_rows([(1, 1, 0, 0), (0, 0, 0, 0), (1, 0, 0, 0)], greedy=1))
    sampled = one.sampled
    assert (one.score.value, one.num_questions, sampled.num_completions) == (1, 3, 4)  # the greedy score is its own
    assert sampled.average.value == pytest.approx(3 / 12)
    assert {j: own.value for j, own in sampled.passed.items()} == pytest.approx(
        {1: 3 / 12, 2: (5 / 6 + 0 + 1 / 2) / 3, 4: 2 / 3}
    )
    assert sampled.num_tokens.value == 11 and sampled.unparsed.value == 0


def test_intervals_are_over_questions_and_images():
    """Eight responses to a question are one trial: ten questions that are always right give Wilson's of ten."""
    answers = sample_rows([(1,) * 8] * 10)
    average = score(answers).sampled.average
    assert (average.low, average.high) == wilson_interval(10, 10)
    shared = [replace(one, attributes={IMAGE: f"image {one.row // 2}"}) for one in answers]
    assert score(shared).sampled.average.low == pytest.approx(clustered_interval([2] * 5, [2] * 5)[0])
    mixed = sample_rows([(1, 0) if row % 2 else (1, 1) for row in range(10)])
    twice = mixed + [replace(one, completion=one.completion + 2) for one in mixed if one.completion]
    ours, same = (score(own).sampled.average for own in (mixed, twice))
    assert (ours.value, ours.low, ours.high) == (same.value, same.low, same.high)  # copies tell nothing new


def test_what_could_not_be_parsed_stands_apart():
    answers = sample_rows([(1, 0), (0, 0)])
    answers = [replace(one, is_parsed=False) if (one.row, one.completion) == (0, 2) else one for one in answers]
    assert score(answers).sampled.unparsed.value == 1 / 4 and score(answers).unparsed.value == 0


def test_a_benchmarks_own_score_is_averaged():
    """We-Math: 1 and 1/2 in two completions. HallusionBench: three shares in each."""
    problem = answer_wemath([(1, 1, 1)])
    sampled = score(problem + draw(problem, 1) + draw(answer_wemath([(1, 1, 0)]), 2)).sampled
    assert sampled.average.value == pytest.approx(0.75)
    assert sampled.passed[2].value == 1 and sampled.passed[1].value == pytest.approx(5 / 6)  # of single questions
    right, half = (answer_hallusion([own]) for own in (((1, 1), (1, 1)), ((1, 1), (1, 0))))
    sampled = score(right + draw(right, 1) + draw(half, 2)).sampled
    assert sampled.average.value == pytest.approx((1 + (3 / 4 + 1 / 2 + 1 / 2) / 3) / 2)


def test_uneven_samples_are_refused():
    answers = sample_rows([(1, 0), (1, 1)])
    with pytest.raises(DataError, match="MMStar: some questions have 1 sampled responses and some 2"):
        score(answers[:-1])


def test_samples_are_compared_by_question(tmp_path):
    first = sample_rows([(row % 2, 0) for row in range(200)])
    second = sample_rows([(row % 2, row % 5 == 0) for row in range(200)])
    found = {one.measure: one for one in compare_samples(PAPER, first, second)}
    assert list(found) == ["avg@2", "pass@2", "no answer", "tokens"]
    assert found["avg@2"].change.value == pytest.approx(0.1) and found["avg@2"].change.low > 0
    assert found["pass@2"].change.value == pytest.approx(0.1)  # even rows in five
    assert found["tokens"].change.value == 0 and found["avg@2"].num_questions == 200
    assert compare_samples(PAPER, first, answer_rows("mmstar", [1] * 200)) == ()
    write_answers(tmp_path, second)
    assert compare_samples(PAPER, first, read_answers(tmp_path))[0] == found["avg@2"]
    shown = format_differences(PAPER, ["a", "b"], (), list(found.values()))
    assert "in sampled responses" in shown and "pass@2" in shown
    # Fewer samples are compared with more, by what both have.
    more = sample_rows([(1, 0, 1, 0)] * 200)
    assert [one.measure for one in compare_samples(PAPER, first, more)][:2] == ["avg@2 and 4", "pass@2"]


def test_the_table_has_samples_where_there_are_some():
    answers = sample_rows([(1, 0), (0, 0)])
    result = SuiteResult("paper", "runs/a", score_answers(PAPER, answers), None, None, None, {"temperature": 1.0})
    shown = format_result(PAPER, result)
    assert "sampled besides, at temperature 1\n" in shown and "avg@k" in shown and "25.0" in shown
    greedy = replace(result, score=score_answers(PAPER, [one for one in answers if one.completion == 0]))
    assert "avg@k" not in format_result(PAPER, greedy)
