"""Which sentence is chosen, by the rules that `conclusion` states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from diagnosis.scripted_model import ScriptedModel, make_question

from vapo.diagnosis.conclusion import phrase_conclusion
from vapo.diagnosis.diagnose import diagnose
from vapo.diagnosis.findings import Point, ProbedClaim, QuestionFindings
from vapo.diagnosis.model_summary import summarise_model
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
        "From 75 % of the response on, the image helps this model with claims by less than 10 points, if at all: at "
        "the end +0.0 points, before the response +50.0 points."
    )
    assert "100.0 % before the response, 50.0 % at its end (-50.0 points)" in second


def test_a_model_that_looks_to_the_end():
    assert say(lambda probe: True)[0] == (
        "To the end of its response the image helps this model with claims: at the end +50.0 points, before the "
        "response +50.0 points."
    )


def test_a_model_that_sees_less_and_less():
    half = lambda probe: probe.anchor.index <= 14 or probe.claim.text in ("claim 0", "claim 1")  # noqa: E731
    assert say(half)[0].startswith("To the end of its response the image helps this model with claims, but less than")


def test_a_model_that_never_looks():
    assert say(lambda probe: False)[0].startswith("At no depth, before its response or along it, does the image help")


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
    def few(names: tuple[str, ...], until: int) -> str:
        return say(lambda probe: probe.anchor.index < until or probe.rollout.sample.id in names, questions=12)[0]

    # One question of twelve gains by the image at the end: +4.2 points, with an interval over more than 10.
    assert few(("q0",), 18).startswith("At the end of its response the image helps this model with claims less than")
    assert few(("q0",), 0).startswith("At no depth can it be told whether the image helps")
    # Six gain before the response and one at its end: an exact test does not tell five fewer from chance.
    less = {0: 6, 22: 1}
    said = say(lambda p: int(p.rollout.sample.id[1:]) < less.get(p.anchor.index, 6), questions=12)[0]
    assert said.startswith("Whether the image helps this model with claims as much at the end of its response as")


def report_of(rng: np.random.Generator, start: float, end: float, questions: int, depths: int, kept: float) -> str:
    """Return the first sentence on a model that judges claims by chance: 55 % right without the image.

    Args:
        start, end: how much better it is with the image, before its response and at its end.
        kept: share of verdicts that stay what they were at other depths.
    """
    places = np.linspace(0, 1, depths + 1)
    rights = {}
    for view, gains in (("image", np.linspace(start, end, depths + 1)), ("blank", np.zeros(depths + 1))):
        draws = rng.random((questions, depths + 1, 4))
        same = rng.random(draws.shape) < kept
        draws = np.where(same, draws[:, :1], draws)
        rights[view] = draws < 0.55 + gains[None, :, None]
    found = tuple(
        QuestionFindings(
            *(f"q{k}", f"digest {k}", "question", "8", ("8",), (0, 1), "8", True, True),
            probed=tuple(
                ProbedClaim(float(at), 1, view, f"claim {c}", c % 2 == 0, float(right[k, d, c] == (c % 2 == 0)))
                for view, right in rights.items()
                for d, at in enumerate(places)
                for c in range(4)
            ),
        )
        for k in range(questions)
    )
    base = summarise_model("model", [replace(question, probed=None) for question in found], DiagnosisSettings())
    curve = tuple(Point(float(at), base.accuracy) for at in places)
    return phrase_conclusion(
        replace(base, perception={"image": curve, "blank": curve}, questions=found), seed=0
    ).conclusion[0]


def says_forgotten(sentence: str) -> bool:
    return sentence.startswith("From ") or "less than before" in sentence


@pytest.mark.parametrize("sight", [0, 0.03, 0.06, 0.1, 0.3])
@pytest.mark.parametrize("kept", [0, 0.8])
def test_a_model_that_does_not_forget_is_seldom_said_to(sight: float, kept: float):
    rng = np.random.default_rng([20, int(100 * sight), int(10 * kept)])
    said = [report_of(rng, sight, sight, 40, 4, kept) for _ in range(100)]
    assert sum(map(says_forgotten, said)) <= 5


def test_a_model_that_forgets_is_said_to():
    rng = np.random.default_rng(21)
    assert all(says_forgotten(report_of(rng, 0.4, 0, 60, 4, 0.5)) for _ in range(10))


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
    assert (
        "Of 10 errors, 100.0 % are right if stopped at 50 % of the response; of 10 right answers, 100.0 % are wrong "
        "there. In all, stopping there changes accuracy by +0.0 points" in conclusion
    )
    assert "Showing the image again changes accuracy by +0.0 points" in conclusion
