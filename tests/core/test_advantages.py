"""Group advantages, by hand and against the trainer they stand for."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from trl.trainer.utils import nanstd

from vapo.core.advantages import group_advantages, informative_groups


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
