"""Eq. 5, its gates, and the presets."""

import math
from dataclasses import FrozenInstanceError

import pytest

from vapo.core.rewards import PRESETS, compose_reward, relaxed_gate_weight


def test_worked_example():
    # Right, in form, seen at 0.7: 1 + 1 + 0.1 * 0.7 = 2.07.
    reward = compose_reward(1.0, 1.0, 0.7)
    assert (reward.accuracy, reward.format, reward.perception) == (1.0, 1.0, 0.7)
    assert reward.bonus == pytest.approx(0.07)
    assert reward.total == pytest.approx(2.07)


@pytest.mark.parametrize(
    ("gate", "openness", "wrong", "right"),
    [
        # Wrong but in form, perception 0.5: 0 + 1 + 0.1 * g * 0.5, with g = 0, 0, 0.4, 1.
        ("strict", 0.0, 1.0, 2.05),
        ("strict", 0.9, 1.0, 2.05),
        ("relaxed", 0.4, 1.02, 2.05),
        ("none", 0.0, 1.05, 2.05),
    ],
)
def test_gates(gate, openness, wrong, right):
    assert compose_reward(0.0, 1.0, 0.5, gate=gate, relaxed=openness).total == pytest.approx(wrong)
    assert compose_reward(1.0, 1.0, 0.5, gate=gate, relaxed=openness).total == pytest.approx(right)


def test_a_partly_right_answer_is_not_right():
    assert compose_reward(0.99, 0.0, 1.0).total == 0.99


def test_what_counts_as_right_is_a_threshold():
    bonus = lambda accuracy, **gate: compose_reward(accuracy, 0.0, 1.0, **gate).bonus  # noqa: E731
    assert [bonus(accuracy, gate_threshold=0.5) for accuracy in (0.49, 0.5, 1.0)] == [0.0, 0.1, 0.1]
    assert bonus(0.4, gate="graded", gate_threshold=0.5) == pytest.approx(0.04)
    assert bonus(0.5, gate="graded", gate_threshold=0.5) == 0.1
    assert bonus(0.4, gate="relaxed", relaxed=0.3, gate_threshold=0.5) == pytest.approx(0.03)
    for threshold in (0.0, 1.1, math.nan):
        with pytest.raises(ValueError, match="gate_threshold is"):
            bonus(1.0, gate_threshold=threshold)


def test_nothing_probed_and_no_weight_change_nothing():
    assert compose_reward(1.0, 1.0, None).total == 2.0
    assert compose_reward(1.0, 1.0, 0.3, perception_weight=0).total == 2.0
    assert compose_reward(1.0, 1.0, None).perception is None


def test_relaxed_gate_closes_with_progress():
    assert [relaxed_gate_weight(progress) for progress in (0, 0.25, 1)] == [1.0, 0.75, 0.0]
    with pytest.raises(ValueError, match=r"progress is 1\.5"):
        relaxed_gate_weight(1.5)


def test_presets():
    paper, released = PRESETS["paper"], PRESETS["released"]
    assert (paper.kl_weight, paper.clip_low, paper.clip_high) == (1e-2, 0.2, 0.2)
    assert (released.kl_weight, released.clip_low, released.clip_high) == (0.0, 0.2, 0.28)

    def total(preset, perception):
        return compose_reward(
            1.0,
            1.0,
            perception,
            accuracy_weight=preset.accuracy_weight,
            format_weight=preset.format_weight,
            perception_weight=preset.perception_weight,
            gate=preset.gate,
        ).total

    assert total(paper, 1.0) == pytest.approx(2.1)
    assert total(released, 1.0) == pytest.approx(1.0)  # 0.8 + 0.1 + 0.1
    with pytest.raises(FrozenInstanceError):
        paper.kl_weight = 0.0
    with pytest.raises(TypeError):
        PRESETS["paper"] = released  # pyright: ignore[reportIndexIssue]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"accuracy": 1.5}, "accuracy is 1.5"),
        ({"format": -1}, "format is -1"),
        ({"perception": math.nan}, "perception is nan"),
        ({"relaxed": 2}, "relaxed is 2"),
        ({"perception_weight": -0.1}, "perception_weight is -0.1"),
        ({"accuracy_weight": math.inf}, "accuracy_weight is inf"),
        ({"gate": "open"}, "gate 'open' is unknown; choose one of strict, relaxed, graded, none"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        compose_reward(**{"accuracy": 1.0, "format": 1.0, "perception": 0.5, **arguments})
