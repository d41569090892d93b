"""Shares by hand: six responses whose gradients are at right angles and of length 1."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from studies.mechanism.measuring import PAPER, WAYS, Measured
from studies.mechanism.settings import SETTINGS, Setting, give_credit
from studies.mechanism.shares import (
    ADVANTAGE,
    GRADIENT,
    correlate_draws,
    count_shares,
    describe_groups,
    find_directions,
)
from vapo.algorithms.vapo import VAPO

RIGHT, MIXED, WRONG = (1.0, 1.0, 1.0), (1.0, 0.0, 1.0), (0.0, 0.0, 0.0)
SEEN = np.array([[0.8, 0.6, 0.7, 0.9, 0.4, 0.7, 0.1, 0.5, 0.9], [0.8, 0.7, 0.6, 0.9, 0.4, 0.7, 0.1, 0.5, 0.9]])


def make(products=None, perceptions=SEEN) -> Measured:
    accuracies = np.array([*RIGHT, *MIXED, *WRONG])
    return Measured(
        3,
        accuracies,
        np.ones(9),
        np.full(9, 10.0),
        np.eye(9) if products is None else products,
        dict.fromkeys(WAYS, perceptions),
    )


def test_the_papers_setting_by_hand():
    credit = give_credit(SETTINGS["preset: paper"], make(), SEEN[0])
    # All right: bonuses 0.08, 0.06, 0.07 spread by 0.01: 1, -1, 0 but for eps = 1e-4: 0.01 / 0.0101.
    np.testing.assert_allclose(credit.all[:3], np.array([1, -1, 0]) * 0.01 / 0.0101, atol=1e-9)
    assert (credit.without[:3] == 0).all() and (credit.all[6:] == 0).all()
    np.testing.assert_allclose(credit.without[3:6], [0.57725, -1.15450, 0.57725], atol=1e-4)


def test_perceptions_share_is_that_of_the_all_right_groups_and_little_of_the_mixed_ones():
    measured = make()
    shares = count_shares(measured, SETTINGS["preset: paper"])
    credits = [give_credit(SETTINGS["preset: paper"], measured, seen) for seen in SEEN]
    expected = sum((c.perception**2).sum() for c in credits) / sum((c.all**2).sum() for c in credits)
    assert shares[GRADIENT] == pytest.approx(shares[ADVANTAGE]) == pytest.approx(expected)
    groups = describe_groups(measured)
    assert groups["all_right"]["perception's part of that"] == pytest.approx(1.0)
    assert groups["mixed"]["perception's part of that"] < 0.01
    assert groups["all_right"][GRADIENT] + groups["mixed"][GRADIENT] == pytest.approx(1.0)
    assert groups["all_right"]["standard deviation of the reward"] == pytest.approx(0.01)
    assert [groups[name]["groups"] for name in groups] == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("name", ["dynamic_sampling: accuracy", "scale_rewards: none", "scale_rewards: batch"])
def test_settings_that_leave_perception_next_to_nothing(name):
    paper, off = (count_shares(make(), SETTINGS[one])[GRADIENT] for one in ("preset: paper", name))
    assert paper > 0.4 and off < 0.01


def test_a_filter_by_reward_keeps_all_right_groups_and_one_by_accuracy_drops_them():
    kept, dropped = (
        give_credit(Setting(VAPO(), group_filter=by), make(), SEEN[0]).all for by in ("reward", "accuracy")
    )
    assert kept[:3].any() and not dropped[:3].any() and dropped[3:6].any()


def test_weight_0_is_grpo_in_both_forms():
    for credit in ("reward", "advantage"):
        given = give_credit(Setting(VAPO(perception_weight=0.0, perception_credit=credit)), make(), SEEN[0])
        assert (given.all == given.without).all()


def test_two_parts_act_in_mixed_groups_too():
    credit = give_credit(SETTINGS["perception_credit: advantage, perception_weight: 1"], make(), SEEN[0])
    np.testing.assert_allclose(credit.perception[:3], [1, -1, 0], atol=1e-9)
    np.testing.assert_allclose(credit.perception[3:6], [0.7071068, 0, -0.7071068], atol=1e-6)


def test_draws_are_correlated_in_all_right_groups():
    # 1, -1, 0 and 1, 0, -1: r = 1 / 2.
    assert correlate_draws(make(), PAPER) == pytest.approx(0.5)


def test_groups_whose_gradients_point_the_same_way_have_cosine_1():
    """Each response's gradient is its place in the group's pattern times one common vector."""
    pattern = np.array([1.0, -1.0, 0.0, 1.0, -1.0, 1.0, 0.0, 0.0, 0.0])
    accuracies = np.array([*RIGHT, *RIGHT, *MIXED])
    measured = replace(make(products=np.outer(pattern, pattern) + 1e-12 * np.eye(9)), accuracies=accuracies)
    along = find_directions(measured)
    assert abs(along["perception, all-right groups"]) == pytest.approx(1.0, abs=1e-4)
    across = find_directions(replace(make(), accuracies=accuracies))
    assert across["perception, all-right groups"] == pytest.approx(0.0, abs=1e-12)
    assert 0.5 < across["with and without perception"] < 1
