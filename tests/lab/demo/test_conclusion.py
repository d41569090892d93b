from __future__ import annotations

from dataclasses import replace

import pytest

from vapo.diagnosis.estimates import Estimate
from vapo.lab.demo.conclusion import ONE_SEED, phrase_demo
from vapo.lab.demo.paired import EARLY_ANSWERS, LATE_ANSWERS, LATE_CLAIMS, Row


def about(value: float, half: float = 0.02, count: int = 100) -> Estimate:
    return Estimate(value, value - half, value + half, count)


def rows(late_difference: Estimate | None, late: Estimate | None = about(0.7)) -> list[Row]:
    changes = (about(-0.2), about(0.01))
    return [
        Row(LATE_ANSWERS, True, about(0.8), late, about(0.78), *changes, late_difference),
        Row(EARLY_ANSWERS, True, about(0.3), about(0.8), about(0.79), about(0.5), about(0.49), about(-0.01)),
        Row(LATE_CLAIMS, True, about(0.6), about(0.7), about(0.9), about(0.1), about(0.3), about(0.2)),
    ]


@pytest.mark.parametrize(
    ("difference", "sentence"),
    [
        (about(0.08), "VAPO's model answers more of those that need one: 78.0 %, GRPO's 70.0 %"),
        (about(-0.08), "VAPO's model answers fewer of those that need one"),
        (about(0.01), "the two models cannot be told apart on those that need one: VAPO's answers 78.0 %"),
        (about(0.02), "cannot be told apart"),  # the interval ends in 0
        (about(0.08, count=9), "9 late questions are too few to tell the two models apart."),
    ],
)
def test_the_first_sentence_follows_the_interval(difference, sentence):
    first = phrase_demo(rows(difference))[0]
    assert sentence in first
    if difference.num_questions > 9:
        assert f"({100 * difference.value:+.1f} points [" in first


def test_the_others_say_what_changed():
    _, changes, early, claims, last = phrase_demo(rows(about(0.08)))
    assert changes == (
        "Before training it was 80.0 %: GRPO changed it by -20.0 points [-22.0, -18.0], VAPO by +1.0 points "
        "[-1.0, +3.0], which chance alone could do."
    )
    assert "(early ones) answered right: 30.0 % before, 80.0 % after GRPO, 79.0 % after VAPO" in early
    assert "-1.0 points [-3.0, +1.0], which chance alone could do" in early
    assert "last quarter of the response: 60.0 % before, 70.0 % after GRPO, 90.0 % after VAPO" in claims
    assert last == ONE_SEED


def test_what_was_not_asked_is_said_to_be():
    late, early, claims = rows(None, late=None)
    said = phrase_demo([late, early, replace(claims, grpo=None, difference=None)])
    assert said[0] == "No late question was asked: give more --questions."
    assert said[3] == "Claims judged right in the last quarter of the response: none was asked."
