"""Eq. 4, by hand and by its properties."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vapo.core.perception import depth_quarter, perception_reward, share_right


@pytest.mark.parametrize(("depth", "quarter"), [(0.01, 1), (0.25, 1), (0.26, 2), (0.5, 2), (0.75, 3), (1.0, 4)])
def test_quarters_include_their_end(depth, quarter):
    assert depth_quarter(depth) == quarter


def test_share_of_claims_judged_right():
    judged = [(0.0, True), (0.2, True), (0.25, False), (0.9, True), (1.0, True), (0.8, False)]
    assert share_right(judged) == 4 / 6
    assert [share_right(judged, quarter) for quarter in (1, 2, 3, 4)] == [1 / 2, None, None, 2 / 3]
    assert share_right([]) is None


def test_one_anchor_right_at_the_end_gives_one():
    assert perception_reward([True], [1.0]) == 1.0
    assert perception_reward([False], [1.0]) == 0.0


def test_worked_example():
    # w = exp(1.5 a): exp(0.375) = 1.454991, exp(0.75) = 2.117000, exp(1.125) = 3.080217, exp(1.5) = 4.481689.
    # Right at the first two: (1.454991 + 2.117000) / 11.133897 = 3.571991 / 11.133897 = 0.320821.
    depth = [0.25, 0.5, 0.75, 1.0]
    assert perception_reward([1, 1, 0, 0], depth) == pytest.approx(0.320821, abs=1e-6)
    # Right at the last two: the rest, 0.679179; rescaled: (0.679179 - 0.5) / 0.5 = 0.358358.
    assert perception_reward([0, 0, 1, 1], depth) == pytest.approx(0.679179, abs=1e-6)
    assert perception_reward([0, 0, 1, 1], depth, rescale=True) == pytest.approx(0.358358, abs=2e-6)
    assert perception_reward([1, 1, 0, 0], depth, rescale=True) == 0.0
    # Without emphasis the depth does not matter: 2 of 4.
    assert perception_reward([1, 1, 0, 0], depth, late_emphasis=0) == 0.5


depths = st.lists(st.floats(0, 1, exclude_min=True), min_size=1, max_size=30)
emphasis = st.floats(0, 1e308)


@given(depths, emphasis)
def test_a_perfect_perceiver_scores_one_and_a_coin_one_half(depth, late_emphasis):
    assert perception_reward([True] * len(depth), depth, late_emphasis) == 1.0
    assert perception_reward([0.5] * len(depth), depth, late_emphasis) == pytest.approx(0.5)
    assert perception_reward([0.5] * len(depth), depth, late_emphasis, rescale=True) == pytest.approx(0, abs=1e-9)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1, exclude_min=True)), min_size=1), emphasis, st.randoms())
def test_order_changes_nothing(probes, late_emphasis, shuffler: random.Random):
    shuffled = list(probes)
    shuffler.shuffle(shuffled)
    reward = perception_reward(*zip(*probes, strict=True), late_emphasis)
    assert 0 <= reward <= 1
    assert perception_reward(*zip(*shuffled, strict=True), late_emphasis) == reward


@given(depths)
def test_a_wrong_verdict_costs_more_the_later_it_is(depth):
    depth = sorted(set(depth))
    rewards = [perception_reward([j != k for j in range(len(depth))], depth) for k in range(len(depth))]
    assert rewards == sorted(rewards, reverse=True)


def test_numpy_arrays_and_large_emphasis():
    assert perception_reward(np.array([True, False]), np.array([0.5, 1.0]), 1e6) == 0.0  # pyright: ignore
    assert perception_reward(np.array([0.0, 0.25]), np.array([0.5, 1.0]), 1e6) == 0.25  # pyright: ignore
    assert isinstance(perception_reward(np.array([True]), np.array([0.5])), float)  # pyright: ignore


@pytest.mark.parametrize(
    ("correct", "depth", "late_emphasis", "message"),
    [
        ([], [], 1.5, "no verdicts"),
        ([1], [0.5, 1.0], 1.5, "1 verdicts but 2 depths"),
        ([math.nan], [1.0], 1.5, "verdict 0 is nan"),
        ([1, 1.1], [0.5, 1.0], 1.5, "verdict 1 is 1.1"),
        ([-0.1], [1.0], 1.5, "verdict 0 is -0.1"),
        ([1], [0.0], 1.5, "depth 0 is 0.0"),
        ([1], [1.01], 1.5, "depth 0 is 1.01"),
        ([1], [math.nan], 1.5, "depth 0 is nan"),
        ([1], [1.0], -1, "late_emphasis is -1"),
        ([1], [1.0], math.inf, "late_emphasis is inf"),
        ([1], [1.0], math.nan, "late_emphasis is nan"),
    ],
)
def test_refusals(correct, depth, late_emphasis, message):
    with pytest.raises(ValueError, match=message):
        perception_reward(correct, depth, late_emphasis)
