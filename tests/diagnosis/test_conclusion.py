"""Which sentence is chosen, by the rules that `conclusion` states."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from diagnosis.scripted_model import ScriptedModel, make_question

from vapo.diagnosis.diagnose import diagnose
from vapo.diagnosis.settings import DiagnosisSettings
from vapo.diagnosis.tables import list_estimates
from vapo.diagnosis.training_callback import list_metrics
from vapo.models.diagnosed_model import View
from vapo.types import Probe

RESPONSE = "<think>ab, cd. ef! gh?</think>\\boxed{8}"  # thinking 7..22, boundaries at 10, 14, 18, 22
SETTINGS = DiagnosisSettings(num_depths=4, claims_per_depth=4, views=("image", "blank"), step=50)


def judge_with(sees: Callable[[Probe], bool]) -> Callable[[Probe, View], float]:
    """Right where the model sees; else "no" to every claim, which is right for half of them."""
    return lambda probe, view: float(probe.claim.is_true) if view == "image" and sees(probe) else 0.0


def say(sees: Callable[[Probe], bool], questions: int = 20, **options) -> tuple[str, ...]:
    samples = [make_question(f"q{number}") for number in range(questions)]
    diagnosed_model = ScriptedModel({sample.id: RESPONSE for sample in samples}, judge=judge_with(sees), **options)
    return diagnose([diagnosed_model], samples, settings=SETTINGS).models[0].conclusion


def test_a_model_that_stops_looking():
    # Depths 0, 0.25, 0.5 are asked behind 0, 10 and 14 tokens, 0.75 and 1 behind 18 and 22.
    first, second, *_ = say(lambda probe: probe.anchor.index <= 14)
    assert first == (
        "From 75 % of the response on, this model answers claims no better than without the image (at the end +0.0 "
        "points; before the response it was +50.0 points)."
    )
    assert "100.0 % before the response, 50.0 % at its end (-50.0 points)" in second


def test_a_model_that_looks_to_the_end():
    assert (
        say(lambda probe: True)[0]
        == "To the end of its response the image helps this model with claims: +50.0 points."
    )


def test_a_model_that_never_looks():
    assert say(lambda probe: False)[0].startswith("At no point, not even before its response, does this model answer")


def test_a_look_that_comes_back_is_no_forgetting():
    assert say(lambda probe: probe.anchor.index in (0, 22))[0].startswith("To the end of its response")


def test_always_yes_is_said():
    samples = [make_question(f"q{number}") for number in range(20)]
    model = ScriptedModel({sample.id: RESPONSE for sample in samples}, judge=lambda probe, view: 0.9)
    found = diagnose([model], samples, protocols=["perception"], settings=SETTINGS).models[0]
    said = 'Along its response it answers "yes" to 100.0 % of the claims with the image: 100.0 % of the true ones are '
    assert f"{said}judged right, 0.0 % of the false ones." in found.conclusion
    shares = {name: one.value for name, at, one in list_estimates(found) if at == 1.0}
    assert shares["yes_rate_image"] == shares["accuracy_true_image"] == 1 and shares["accuracy_false_image"] == 0
    assert list_metrics(found)["diagnosis/yes_rate_at_end_image"] == 1


def test_few_questions_are_said_to_be_few():
    conclusion = say(lambda probe: True, questions=9)
    assert "asked on 9 questions only: too few" in conclusion[0]


def test_where_nothing_can_be_said_nothing_is():
    # Three questions of twelve gain by the image at the end: +12.5 points, with an interval over more than 10.
    sure = ("q0", "q1", "q2")
    conclusion = say(lambda probe: probe.anchor.index < 18 or probe.rollout.sample.id in sure, questions=12)
    assert conclusion[0].startswith("To the end") or "be told whether the image still helps" in conclusion[0]
    conclusion = say(lambda probe: probe.anchor.index < 18 or probe.rollout.sample.id == "q0", questions=12)
    assert conclusion[0].startswith("From 75 % of the response on, it cannot be told whether the image still helps")


@pytest.mark.parametrize(
    ("attention", "sentence"),
    [
        (lambda token: 0.5 if token < 12 else 0.1, "falls from 50.0 % in the first fifth of the response to 10.0 %"),
        (lambda token: 0.1 if token < 12 else 0.5, "rises from 10.0 % in the first fifth of the response to 50.0 %"),
        (lambda token: 0.25, "does not change clearly: first fifth of the response 25.0 %, last 25.0 %"),
    ],
)
def test_changes_along_the_response(attention: Callable[[int], float], sentence: str):
    assert any(sentence in line for line in say(lambda probe: True, attention=attention))


def test_errors_and_remedies_have_their_numbers():
    samples = [make_question(f"q{number}", answer="8" if number < 10 else "7") for number in range(20)]
    diagnosed_model = ScriptedModel({sample.id: RESPONSE for sample in samples}, early=lambda cut: "\\boxed{7}")
    conclusion = " ".join(diagnose([diagnosed_model], samples, settings=SETTINGS).models[0].conclusion)
    assert "Of 10 errors, 100.0 % were right at an earlier cut" in conclusion
    assert "Showing the image again changes accuracy by +0.0 points" in conclusion
