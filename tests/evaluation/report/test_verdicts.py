"""Verdicts on two models: what decides them, and what they say where nothing can be told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from diagnosis.made_diagnosis import make_diagnosis
from evaluation.suite_runs.made_answers import answer_all, answer_rows, answer_wemath

from vapo.diagnosis.comparison import compare_models
from vapo.diagnosis.estimates import Estimate
from vapo.errors import DataError
from vapo.evaluation.report.verdicts import Change, compare_findings, compare_suite, judge_aspect


def change(value: float, half: float | None = 0.05, count: int = 40, source: str = "suite paper") -> Change:
    low, high = (None, None) if half is None else (value - half, value + half)
    return Change(source, "mean of 10 benchmarks", 0.5, 0.5 + value, Estimate(value, low, high, count), count)


@pytest.mark.parametrize(
    ("sources", "direction", "said"),
    [
        (
            [[change(0.2)]],
            "up",
            "Reasoning is up: mean of 10 benchmarks (suite paper, 40 questions) 50.0 % and then 70.0 %, +20.0 points "
            "[+15.0, +25.0].",
        ),
        ([[change(-0.2)], []], "down", "Reasoning is down: mean of 10 benchmarks"),
        ([[change(0.04)]], "unclear", "+4.0 points [-1.0, +9.0], which chance alone could do."),
        ([[change(0.0, None)]], "unclear", "Whether reasoning is up or down cannot be told"),
        ([[change(0.5, None)]], "up", "+50.0 points."),
        ([[change(0.3, count=9)]], "unclear", "9 questions are too few to say whether reasoning is up or down."),
        ([[change(0.3, count=1)]], "unclear", "(suite paper, 1 question): 1 question is too few to say"),
        ([[], [change(0.2, source="own")]], "up", "(own, 40 questions)"),
        ([[change(0.2)], [change(-0.2, source="own")]], "contradictory", "Reasoning is up"),
        ([[change(0.01)], [change(0.2, source="own")]], "unclear", "cannot be told"),
        ([[], []], "unmeasured", "Reasoning was not measured: give --suite paper, or --data."),
    ],
)
def test_the_first_source_decides_unless_another_clearly_disagrees(sources, direction, said):
    verdict = judge_aspect("reasoning", sources)
    assert verdict.direction == direction and said in verdict.sentences[0]
    assert len(verdict.sentences) == max(1, sum(map(bool, sources)))


def test_each_aspect_is_judged_on_its_own_benchmarks():
    seeing = [*answer_rows("pope", [0] * 40), *answer_rows("vstar", [0, 1] * 20)]
    better = [*answer_rows("pope", [1] * 40), *answer_rows("vstar", [0, 1] * 20)]
    first, second = [*answer_all(0.6), *seeing], [*answer_all(0.6), *better]
    reasoning = compare_suite("reasoning", first, second)
    assert [one.change.value for one in reasoning] == [0] * 11 and reasoning[0].what == "mean of 10 benchmarks"
    mean, *others = compare_suite("perception", first, second)
    # HallusionBench is of both suites.
    assert (mean.source, mean.what) == ("suite perception", "mean of 3 benchmarks")
    assert [one.what for one in others] == ["POPE", "V*", "HallusionBench"]
    assert mean.change.value == pytest.approx(1 / 3) and mean.direction == "up"


def test_one_benchmark_is_its_own_mean_and_none_is_nothing():
    (only,) = compare_suite("reasoning", answer_rows("mmstar", [0, 1]), answer_rows("mmstar", [1, 1]))
    assert (only.what, only.first, only.second) == ("MMStar", 0.5, 1)
    assert compare_suite("perception", answer_rows("mmvet", [1]), answer_rows("mmvet", [1])) == []
    image = answer_rows("pope", [0, 1, 1], attributes={"image": "one", "split": "random"})
    (pope,) = compare_suite("perception", image, image)
    assert (pope.num_questions, pope.change.num_questions) == (3, 1)
    steps = answer_wemath([(1, 1, 1)])[:2]  # no problem whole
    assert compare_suite("reasoning", steps, steps) == []
    other = answer_rows("mmstar", [1, 1], reference="B")
    with pytest.raises(DataError, match="asked different questions"):
        compare_suite("reasoning", answer_rows("mmstar", [0, 1]), other)


def test_own_data_tells_of_both():
    diagnosis = make_diagnosis(num_questions=30)
    diagnosis = replace(diagnosis, differences=compare_models(diagnosis.models, seed=0))
    answers, *_ = compare_findings("reasoning", diagnosis)
    assert answers.what == "right answers" and answers.source == diagnosis.data
    assert answers.first == pytest.approx(sum(one.right for one in diagnosis.models[0].questions) / 30)
    claims = compare_findings("perception", diagnosis)
    assert claims[0].what == "claims judged right along the response"
    for one in (answers, *claims):
        assert one.second - one.first == pytest.approx(one.change.value)
    blind = replace(diagnosis, differences=tuple(d for d in diagnosis.differences if "claims" not in d.measure))
    assert compare_findings("perception", blind) == []
