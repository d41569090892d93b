"""Intervals: a published value, the edges, and the promised coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vapo.core.intervals import (
    bootstrap_mean_interval,
    clustered_interval,
    resample_scores,
    sign_flip_p_value,
    t_interval,
    wilson_interval,
)


def test_wilson_by_hand():
    # 8 of 10, z = 1.959964, z^2 = 3.841459. Scale 1.3841459; centre (0.8 + 0.1920729) / scale = 0.716740;
    # half = 1.959964 * sqrt(0.016 + 0.0096036) / scale = 0.313616 / scale = 0.226578.
    assert wilson_interval(8, 10) == pytest.approx((0.490162, 0.943318), abs=1e-5)
    # 0 of n: the upper bound is z^2 / (n + z^2) = 3.841459 / 13.841459 = 0.277533.
    assert wilson_interval(0, 10) == pytest.approx((0.0, 0.277533), abs=1e-6)
    assert wilson_interval(10, 10) == pytest.approx((0.722467, 1.0), abs=1e-6)


@given(st.integers(1, 3000), st.data(), st.floats(0.5, 0.999))
def test_wilson_and_student_are_those_of_scipy(trials, data, confidence):
    successes = data.draw(st.integers(0, trials))
    found = stats.binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    assert wilson_interval(successes, trials, confidence) == pytest.approx(tuple(found), abs=1e-12)
    values = np.random.default_rng(trials).normal(size=5)
    found = stats.t.interval(confidence, 4, values.mean(), stats.sem(values))
    assert t_interval(values, confidence) == pytest.approx(found, abs=1e-12)


@given(st.integers(1, 10**6), st.data(), st.floats(0.01, 0.999))
def test_wilson_holds_the_rate(trials, data, confidence):
    successes = data.draw(st.integers(0, trials))
    low, high = wilson_interval(successes, trials, confidence)
    assert 0 <= low <= successes / trials <= high <= 1
    mirrored = wilson_interval(trials - successes, trials, confidence)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-9)


def test_clustered_by_hand():
    # Two groups of two, (2, 0) right: p = 1/2, v = 2 ((2 - 1)^2 + (0 - 1)^2) / 16 = 1/4, p (1 - p) / n = 1/16: deff 4.
    # t_3 = 3.182446, t_1 = 12.706205: n_eff = 4 / 4 * (3.182446 / 12.706205)^2 = 0.062731. Wilson with that: scale
    # 62.2366, centre 0.5, half = 1.959964 sqrt(0.25 / 0.062731 + 0.25 * 3.841459 / 0.062731^2) / scale = 0.495967.
    assert clustered_interval([2, 0], [2, 2]) == pytest.approx((0.004033, 0.995967), abs=1e-5)


def test_groups_of_one_or_unlike_each_other_are_plain_trials():
    rng = np.random.default_rng(0)
    right = (rng.random(500) < 0.8).astype(int)
    # v has n / (n - 1) where Wilson has 1.
    assert clustered_interval(right, np.ones(500)) == pytest.approx(wilson_interval(right.sum(), 500), abs=1e-4)
    # Half right in every group: they resemble each other less than chance would have it, which is given no credit.
    assert clustered_interval([1, 1, 1], [2, 2, 2]) == wilson_interval(3, 6)
    assert clustered_interval([1, 1, 1], [2, 2, 2], variance_factor=3) == wilson_interval(1, 2)


def test_groups_count_once_where_nothing_tells_how_alike_their_trials_are():
    assert clustered_interval([4, 0, 3], [4, 0, 3]) == wilson_interval(2, 2)
    assert clustered_interval([20] * 5, [20] * 5) == wilson_interval(5, 5)
    assert clustered_interval([0] * 5, [20] * 5) == wilson_interval(0, 5)
    assert clustered_interval([1], [2])[1] == pytest.approx(0.945379, abs=1e-6)  # one trial of rate 1/2


def test_clustered_covers_where_plain_trials_do_not():
    """Groups of 20 whose own rates scatter around 0.9: 95 % of the intervals should hold it."""
    rng, covered, plain = np.random.default_rng(0), 0, 0
    for _ in range(1000):
        rates = rng.beta(0.9 * 10, 0.1 * 10, size=40)
        right = rng.binomial(20, rates)
        low, high = clustered_interval(right, np.full(40, 20))
        covered += low <= 0.9 <= high
        low, high = wilson_interval(int(right.sum()), 800)
        plain += low <= 0.9 <= high
    assert 0.92 <= covered / 1000 <= 0.97
    assert plain / 1000 < 0.85


@pytest.mark.parametrize("groups", [5, 10, 15])
@pytest.mark.parametrize(("mean", "alike"), [(0.5, 4), (0.7, 4), (0.9, 10)])
def test_clustered_covers_with_few_groups(groups, mean, alike):
    """Groups of 20; without the quantiles of Student's t, .86 to .94 of the intervals hold the mean."""
    rng, covered = np.random.default_rng(0), 0
    for _ in range(2000):
        rates = rng.beta(mean * alike, (1 - mean) * alike, size=groups)
        low, high = clustered_interval(rng.binomial(20, rates), np.full(groups, 20))
        covered += low <= mean <= high
    assert 0.93 <= covered / 2000 <= 0.975


def test_clustered_covers_where_every_trial_of_a_group_is_the_same():
    """Counted as plain trials, five groups of 20 that are all right would claim a rate of at least .96."""
    rng, covered, plain = np.random.default_rng(0), 0, 0
    for _ in range(2000):
        right = 20 * rng.binomial(1, 0.9, size=5)
        low, high = clustered_interval(right, np.full(5, 20))
        covered += low <= 0.9 <= high
        low, high = wilson_interval(int(right.sum()), 100)
        plain += low <= 0.9 <= high
    assert covered / 2000 >= 0.95
    assert plain / 2000 < 0.4


@pytest.mark.parametrize(
    ("successes", "trials"), [([1], [1, 2]), ([2], [1]), ([-1], [1]), ([], []), ([0], [0]), ([[1]], [[1]])]
)
def test_clustered_refusals(successes, trials):
    with pytest.raises(ValueError, match=r"one of each per group|more successes|at least one trial"):
        clustered_interval(successes, trials)
    with pytest.raises(ValueError, match="variance_factor is 0"):
        clustered_interval([1], [2], variance_factor=0)


def test_bootstrap():
    rng = np.random.default_rng(0)
    values = rng.normal(3.0, 1.0, size=400)
    low, high = bootstrap_mean_interval(values, np.random.default_rng(1), resamples=2000)
    # The standard error is 1 / sqrt(400) = 0.05, so 95 % is about +-0.098.
    assert (high - low) / 2 == pytest.approx(0.098, abs=0.012)
    assert low < values.mean() < high
    assert (low, high) == bootstrap_mean_interval(values, np.random.default_rng(1), resamples=2000)
    assert bootstrap_mean_interval([0.5], rng, resamples=10) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("successes", "trials", "confidence"), [(0, 0, 0.95), (3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.0)]
)
def test_wilson_refusals(successes, trials, confidence):
    with pytest.raises(ValueError, match=r"at least one trial|is impossible|between 0 and 1"):
        wilson_interval(successes, trials, confidence)


@pytest.mark.parametrize("values", [[], [[1.0]], [float("nan")], [1.0, float("inf")]])
def test_bootstrap_refusals(values):
    with pytest.raises(ValueError, match=r"at least one value|not finite"):
        bootstrap_mean_interval(values, np.random.default_rng(0))


def test_t_by_hand():
    # 1, 2, 3: mean 2, s = 1, t_2 at 97.5 % = 4.302653, half = 4.302653 / sqrt(3) = 2.484138.
    assert t_interval([1.0, 2.0, 3.0]) == pytest.approx((2 - 2.484138, 2 + 2.484138), abs=1e-6)
    # Two values, t_1 at 75 % = 1: the half interval is s / sqrt(2) = 1 / 2 for 0 and 1.
    assert t_interval([0.0, 1.0], confidence=0.5) == pytest.approx((0.0, 1.0), abs=1e-9)


def test_t_covers_as_often_as_promised():
    rng = np.random.default_rng(0)
    bounds = [t_interval(rng.normal(3.0, 2.0, size=5)) for _ in range(2000)]
    assert np.mean([low <= 3 <= high for low, high in bounds]) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("values", [[], [1.0], [[1.0, 2.0]], [1.0, float("nan")]])
def test_t_of_too_few_values_is_refused(values):
    with pytest.raises(ValueError, match=r"at least two|not finite"):
        t_interval(values)


def test_resampled_scores_of_one_share_are_a_bootstrap_of_the_mean():
    right = (np.random.default_rng(0).random(400) < 0.3).astype(float)
    scores = resample_scores(right[:, None], np.ones((400, 1)), np.random.default_rng(1), resamples=4000)
    low, high = np.quantile(scores, [0.025, 0.975])
    assert (low, high) == pytest.approx(bootstrap_mean_interval(right, np.random.default_rng(2)), abs=0.005)


def test_resampled_scores_by_hand():
    # Two groups, drawn twice: (1/2 + 1/2) / 2 where the first comes twice, (3/4 + 1) / 2 where the second does, and
    # (4/6 + 2/3) / 2 where both come: shares are of sums, not means of shares.
    reached, possible = [[1, 1], [3, 1]], [[2, 2], [4, 1]]
    scores = resample_scores(reached, possible, np.random.default_rng(0), resamples=500)
    assert {round(score, 6) for score in scores} == {0.5, 0.875, 0.666667}


def test_the_same_seed_draws_the_same_groups():
    ours = np.arange(10.0)[:, None] / 10
    draws = [resample_scores(some, np.ones((10, 1)), np.random.default_rng(7), 50) for some in (ours, ours / 2)]
    assert draws[0] / 2 == pytest.approx(draws[1])


@pytest.mark.parametrize(("reached", "possible"), [([], []), ([[1]], [[1, 1]]), ([[0]], [[0]])])
def test_refusals_of_resampling(reached, possible):
    with pytest.raises(ValueError, match="possible"):
        resample_scores(reached, possible, np.random.default_rng(0))


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 20))
def test_flipped_signs_of_right_and_wrong_answers_are_mcnemars_test(gained, lost, ties):
    differences = [1.0] * gained + [-1.0] * lost + [0.0] * ties
    expected = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert sign_flip_p_value(differences, np.random.default_rng(0)) == pytest.approx(expected, abs=1e-9)


def test_flipped_signs_by_hand():
    # Of the eight signs of 1, 2, 4 only +++ and --- reach 7 in size; +1 - 2 + 4 = 3 is reached by six.
    assert sign_flip_p_value([1, 2, 4], np.random.default_rng(0)) == 2 / 8
    assert sign_flip_p_value([1, -2, 4], np.random.default_rng(0)) == 6 / 8
    assert sign_flip_p_value([0.1] * 4 + [0.0] * 6, np.random.default_rng(0)) == 0.125


@pytest.mark.parametrize("count", [8, 13, 40])
def test_flipped_signs_are_those_of_scipy(count):
    differences = np.random.default_rng(count).normal(0.3, 1.0, size=count)
    found = stats.permutation_test((differences,), np.sum, permutation_type="samples", n_resamples=9999)
    assert sign_flip_p_value(differences, np.random.default_rng(0)) == pytest.approx(found.pvalue, abs=0.015)


@pytest.mark.parametrize("count", [6, 10, 20, 50])
def test_flipped_signs_call_chance_a_difference_in_one_case_of_twenty_at_most(count):
    rng = np.random.default_rng(0)
    called = [sign_flip_p_value(rng.normal(size=count), rng, resamples=999) < 0.05 for _ in range(1000)]
    assert np.mean(called) < 0.05 + 3 * (0.05 * 0.95 / 1000) ** 0.5


def test_flips_refuse_what_is_no_row_of_numbers():
    for differences in ([[1.0]], [float("nan")]):
        with pytest.raises(ValueError, match="finite differences"):
            sign_flip_p_value(differences, np.random.default_rng(0))
