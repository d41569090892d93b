"""Group advantages, by hand and against the trainer they stand for."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from trl.trainer.utils import nanstd

from vapo.core.advantages import (
    combined_advantages,
    group_advantages,
    group_outcome,
    informative_groups,
    perception_advantages,
    squared_shares,
)


def test_worked_example():
    # Group 1, 0, 0, 1: mean 0.5, squares 4 * 0.25 = 1, std = sqrt(1 / 3) = 0.577350, so +-0.5 / 0.577450 = 0.865876.
    assert group_advantages([1, 0, 0, 1], 4) == pytest.approx([0.865876, -0.865876, -0.865876, 0.865876], abs=1e-6)
    assert group_advantages([1, 0, 0, 1], 4, scale="none").tolist() == [0.5, -0.5, -0.5, 0.5]
    # Batch 1, 0, 2, 2: mean 1.25, squares 0.0625 + 1.5625 + 2 * 0.5625 = 2.75, std = sqrt(2.75 / 3) = 0.957427.
    # Group means 0.5 and 2: 0.5 / 0.957527 = 0.522178.
    assert group_advantages([1, 0, 2, 2], 2, scale="batch") == pytest.approx([0.522178, -0.522178, 0, 0], abs=1e-6)


def test_no_difference_is_no_advantage():
    for scale in ("group", "batch", "none"):
        assert group_advantages([2, 2, 2], 3, scale=scale, eps=0).tolist() == [0, 0, 0]
        assert group_advantages([5], 1, scale=scale).tolist() == [0]
        assert group_advantages([], 3, scale=scale).tolist() == []


def by_trl(rewards, group_size, scale):
    """The lines of GRPOTrainer._generate_and_score_completions, in double precision."""
    rewards = torch.tensor(rewards, dtype=torch.float64)
    advantages = rewards - torch.nanmean(rewards.view(-1, group_size), dim=1).repeat_interleave(group_size)
    if scale == "group":
        std = nanstd(rewards.view(-1, group_size), dim=1).repeat_interleave(group_size)
        advantages = advantages / (std + 1e-4)
    elif scale == "batch":
        advantages = advantages / (nanstd(rewards).expand_as(rewards) + 1e-4)
    return torch.nan_to_num(advantages, nan=0.0).numpy()


@given(
    st.lists(st.one_of(st.floats(0, 2.1), st.just(float("nan"))), min_size=4, max_size=24),
    st.integers(2, 4),
    st.sampled_from(["group", "batch", "none"]),
)
def test_equal_to_trl(rewards, group_size, scale):
    rewards = rewards[: len(rewards) // group_size * group_size]
    expected = by_trl(rewards, group_size, scale)
    # TRL's Bessel correction is a single-precision number whatever the rewards are.
    assert group_advantages(rewards, group_size, scale) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def combined_by_trl(rewards, weights, group_size, scale, aggregation):
    """The same lines for several rewards."""
    rewards, weights = (torch.tensor(values, dtype=torch.float64) for values in (rewards, weights))
    unscorable = torch.isnan(rewards).all(dim=1)
    if aggregation == "sum_then_normalize":
        totals = (rewards * weights).nansum(dim=1)
        totals[unscorable] = torch.nan
        return by_trl(totals.tolist(), group_size, scale)
    grouped = rewards.view(-1, group_size, len(weights))
    mean, std = torch.nanmean(grouped, dim=1, keepdim=True), nanstd(grouped, dim=1, keepdim=True)
    totals = (((grouped - mean) / (std + 1e-4)).view(-1, len(weights)) * weights).nansum(dim=1)
    totals[unscorable] = torch.nan
    advantages = (totals - torch.nanmean(totals)) / (nanstd(totals) + 1e-4)
    return torch.nan_to_num(advantages, nan=0.0).numpy()


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
@pytest.mark.parametrize("aggregation", ["sum_then_normalize", "normalize_then_sum"])
def test_several_rewards_are_combined_as_trl_does(scale, aggregation):
    rng = np.random.default_rng(3)
    rewards = rng.random((12, 3)).round(1)
    rewards[rng.random(rewards.shape) < 0.2] = np.nan
    rewards[5] = np.nan
    expected = combined_by_trl(rewards, [1.0, 0.5, 2.0], 4, scale, aggregation)
    found = combined_advantages(rewards, [1.0, 0.5, 2.0], 4, scale, aggregation)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
    assert found[5] == 0


def test_an_unknown_aggregation_is_refused():
    with pytest.raises(ValueError, match="choose one of sum_then_normalize, normalize_then_sum"):
        combined_advantages([[1.0]], [1.0], 1, aggregation="sum")  # pyright: ignore[reportArgumentType]


def test_perception_is_compared_among_those_whom_the_gate_lets_through():
    # Right answers saw 0.5, 0.7 and 0.9: mean 0.7, squares 0.08, std = sqrt(0.04) = 0.2.
    found = perception_advantages([0.5, 0.0, 0.7, None, 0.9], [1, 0, 1, 1, 1])
    np.testing.assert_allclose(found, [-1, 0, 0, 0, 1], atol=1e-12)
    # A gate that is half open for the last two: they are compared alike, and get half.
    np.testing.assert_allclose(perception_advantages([0.5, 0.7, 0.9], [1, 1, 0.5]), [-1, 0, 0.5], atol=1e-12)


def test_a_spread_below_the_floor_is_not_enlarged():
    # Mean 0.91, std 0.01 * sqrt(2) = 0.01414: divided by the floor of 0.05 instead.
    np.testing.assert_allclose(perception_advantages([0.9, 0.92], [1, 1]), [-0.2, 0.2], atol=1e-9)
    np.testing.assert_allclose(perception_advantages([0.9, 0.92], [1, 1], floor=0.01), [-0.7071068, 0.7071068])


def test_who_is_alone_or_not_probed_gets_nothing():
    assert perception_advantages([0.3, 0.9], [1, 0]).tolist() == [0, 0]
    assert perception_advantages([None, None], [1, 1]).tolist() == [0, 0]
    assert perception_advantages([], []).tolist() == []


def test_squared_shares():
    nan = float("nan")
    accuracies = [1, 1, 1, 0, 0, 0, 0.5, nan]
    assert [group_outcome(accuracies[start : start + 2]) for start in (0, 2, 4, 6)] == [
        "all_right",
        "mixed",
        "all_wrong",
        "all_wrong",
    ]
    # Squares by group: 2, 18, 0, 5 of 25.
    assert squared_shares([1, -1, 3, -3, 0, 0, 1, 2], accuracies, 2) == pytest.approx(
        {"all_right": 2 / 25, "mixed": 18 / 25, "all_wrong": 5 / 25}
    )
    assert squared_shares([0, 0], [1, 0], 2) is None
    graded = squared_shares([1, -1, 3, -3], [0.6, 0.9, 0.6, 0.5], 2, 0.6)
    assert graded == pytest.approx({"all_right": 0.1, "mixed": 0.9, "all_wrong": 0.0})


def test_input_is_left_alone():
    rewards = np.array([1.0, 0.0])
    group_advantages(rewards, 2)
    assert rewards.tolist() == [1.0, 0.0]


def test_informative_groups():
    assert informative_groups([[0, 0], [0, 1], [1, 1], [1.0, True], [0.5, 0.5], [], [1, 0, 0]]) == (1, 6)
    nan = float("nan")
    assert informative_groups([[nan, 1.0, 1.0], [nan, nan], [nan, 1.0, 0.0], [nan, 0.0]]) == (2,)


@pytest.mark.parametrize(
    ("rewards", "group_size", "scale", "message"),
    [
        ([1, 2, 3], 2, "group", "do not fill groups of 2"),
        ([1, 2], 0, "group", "do not fill groups of 0"),
        ([[1, 2]], 2, "group", "do not fill"),
        ([1, float("inf")], 2, "group", "infinite"),
        ([1, 2], 2, "std", "choose one of group, batch, none"),
    ],
)
def test_refusals(rewards, group_size, scale, message):
    with pytest.raises(ValueError, match=message):
        group_advantages(rewards, group_size, scale)
