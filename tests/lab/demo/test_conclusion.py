from __future__ import annotations

import pytest

from vapo.diagnosis.estimates import Estimate
from vapo.lab.demo.conclusion import ONE_SEED, phrase_demo
from vapo.lab.demo.paired import ANSWERS, LATE, LENGTH, Row


def about(value: float, half: float = 0.02, count: int = 100) -> Estimate:
    return Estimate(value, value - half, value + half, count)


def rows(late_difference: Estimate | None, late: Estimate | None = about(0.7)) -> list[Row]:
    changes = (about(-0.2), about(0.01))
    return [
        Row(LATE, True, about(0.8), late, about(0.78), *changes, late_difference),
        Row(ANSWERS, True, about(0.3), about(0.8), about(0.79), about(0.5), about(0.49), about(-0.01)),
        Row(LENGTH, False, about(50), about(40), about(61), about(-10), about(11), about(21)),
    ]


@pytest.mark.parametrize(
    ("difference", "sentence"),
    [
        (about(0.08), "VAPO's model sees more than GRPO's: it judges 78.0 % of the claims right, GRPO's 70.0 %"),
        (about(-0.08), "VAPO's model sees less than GRPO's"),
        (about(0.01), "no difference in perception can be told from chance: VAPO's model judges 78.0 %"),
        (about(0.02), "no difference in perception can be told from chance"),  # the interval ends in 0
        (about(0.08, count=9), "9 questions are too few to tell the two models apart."),
    ],
)
def test_the_first_sentence_follows_the_interval(difference, sentence):
    first = phrase_demo(rows(difference))[0]
    assert sentence in first
    if difference.num_questions > 9:
        assert f"({100 * difference.value:+.1f} points [" in first


def test_the_others_say_what_changed():
    _, changes, answers, length, last = phrase_demo(rows(about(0.08)))
    assert changes == (
        "Before training it was 80.0 %: GRPO changed it by -20.0 points [-22.0, -18.0], VAPO by +1.0 points "
        "[-1.0, +3.0], which chance alone could do."
    )
    assert "30.0 % before, 80.0 % after GRPO, 79.0 % after VAPO" in answers
    assert "-1.0 points [-3.0, +1.0], which chance alone could do" in answers
    assert length == "Tokens per response: 50 before, 40 after GRPO, 61 after VAPO."
    assert last == ONE_SEED


def test_responses_too_short_for_claims_are_said_to_be():
    first = phrase_demo(rows(None, late=None))[0]
    assert "No claim was asked in the last quarter" in first
