"""Numbers of an evaluation, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from diagnosis.scripted_model import ScriptedModel, as_rollout, make_question
from PIL import Image

from vapo.core.intervals import clustered_interval
from vapo.diagnosis.diagnose import diagnose
from vapo.diagnosis.question_rows import QuestionRow, describe_question, name_image
from vapo.diagnosis.report import format_evaluation
from vapo.diagnosis.settings import DiagnosisSettings
from vapo.diagnosis.summary import Evaluation, summarise
from vapo.types import Anchor, Probe, Verdict

SETTINGS = {"num_completions": 0, "num_anchors": 0, "seed": 0}
RIGHT = [True, True, False, False, True, True]


def make_samples():
    """Six questions about three images."""
    images = [Image.new("RGB", (8, 6), (number, 0, 0)) for number in range(3)]
    return [
        replace(make_question(f"q{n}", answer="8" if RIGHT[n] else "7"), images=(images[n // 2],)) for n in range(6)
    ]


def test_an_image_is_known_by_its_pixels():
    samples = make_samples()
    assert [name_image(sample) for sample in samples[::2]] == [name_image(sample) for sample in samples[1::2]]
    assert len({name_image(sample) for sample in samples}) == 3
    without = [replace(sample, images=()) for sample in samples]
    assert len({name_image(sample) for sample in without}) == 6


def test_accuracy_over_several_questions_per_image_is_clustered_by_image():
    rows = [
        describe_question(
            as_rollout(sample, "\\boxed{8}"), (), (), (), digest=sample.id, finished=True, think_opened=True
        )
        for sample in make_samples()
    ]
    accuracy = summarise(rows, model="m", data="d", settings=SETTINGS).accuracy
    expected = clustered_interval([2, 0, 2], [2, 2, 2])
    assert (accuracy.value, accuracy.low, accuracy.high) == (4 / 6, *expected)
    assert accuracy.num_questions == 6
    # Rows kept before images were: each is on its own.
    old = [{name: value for name, value in row.to_json().items() if name != "image"} for row in rows]
    assert [QuestionRow.from_json(values).image for values in old] == [row.digest for row in rows]
    assert [QuestionRow.from_json(row.to_json()) for row in rows] == rows


def test_a_model_that_always_says_yes_does_not_look_as_if_it_saw():
    rows = []
    for sample in make_samples():
        rollout = as_rollout(sample, "ab, cd")
        pool = sample.claims[:3] if sample.id == "q0" else sample.claims[:1]  # true, false, true; and one true one
        verdicts = [Verdict(Probe(rollout, Anchor(4, 0.5), claim), 0.9) for claim in pool]
        rows.append(describe_question(rollout, (), (), verdicts, digest=sample.id, finished=True, think_opened=True))
    settings = {**SETTINGS, "num_anchors": 3, "max_completion_tokens": 100}
    evaluation = summarise(rows, model="m", data="d", settings=settings)
    assert evaluation.perception is not None
    along = evaluation.perception.along
    assert along.accuracy is not None and along.accuracy.value == pytest.approx((5 + 2 / 3) / 6)
    shares = (along.yes_rate, along.accuracy_true, along.accuracy_false)
    assert [(one.value, one.num_questions) for one in shares if one is not None] == [(1, 6), (1, 6), (0, 1)]
    assert evaluation.perception.quarters[0].yes_rate is None
    lines = {line[:28].strip(): line[28:].split() for line in format_evaluation(evaluation).splitlines()}
    assert lines['"yes"'][:2] == ["100.0", "%"] and lines["false claims judged right"][:2] == ["0.0", "%"]
    plain = evaluation.to_json()
    assert Evaluation.from_json(plain).perception == evaluation.perception
    for part in (plain["perception"]["along"], plain["perception"]["before"]):
        for name in ("yes_rate", "accuracy_true", "accuracy_false"):
            del part[name]  # written before these were
    old = Evaluation.from_json(plain).perception
    assert old is not None and old.along == replace(along, yes_rate=None, accuracy_true=None, accuracy_false=None)


def test_so_is_that_of_a_diagnosis():
    samples = make_samples()
    model = ScriptedModel({sample.id: "<think>ab, cd.</think>\\boxed{8}" for sample in samples})
    found = diagnose([model], samples, protocols=["early"], settings=DiagnosisSettings(step=50)).models[0]
    expected = clustered_interval([2, 0, 2], [2, 2, 2])
    assert (found.accuracy.low, found.accuracy.high) == pytest.approx(expected)
    assert found.early is not None and found.early[-1].estimate.low == pytest.approx(expected[0])
