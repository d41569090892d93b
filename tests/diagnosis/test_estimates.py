from __future__ import annotations

import pytest

from vapo.diagnosis.estimates import estimate_mean, estimate_rate, estimate_share


def test_rate_by_hand():
    # Wilson, 8 of 10, z = 1.959964, z^2 = 3.841459: centre (0.8 + 0.192073) / 1.384146 = 0.716740,
    # half 1.959964 * sqrt(0.016 + 0.00960365) / 1.384146 = 0.226577.
    estimate = estimate_rate([True] * 8 + [False] * 2)
    assert estimate.value == 0.8 and estimate.num_questions == 10
    assert (estimate.low, estimate.high) == pytest.approx((0.490162, 0.943318), abs=2e-6)


def test_mean_of_unlike_values_has_an_interval_around_it():
    estimate = estimate_mean([0.0, 1.0, 2.0, 5.0], seed=0, name="x")
    assert estimate.low is not None and estimate.high is not None
    assert 0 <= estimate.low < estimate.value == 2.0 < estimate.high <= 5
    assert estimate == estimate_mean([0.0, 1.0, 2.0, 5.0], seed=0, name="x")


@pytest.mark.parametrize("values", [[3.0], [3.0, 3.0, 3.0], [0.0, 0.0]])
def test_values_all_alike_claim_no_certainty(values):
    estimate = estimate_mean(values, seed=0, name="x")
    assert estimate.value == values[0] and estimate.low is None and estimate.high is None


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_shares_all_alike_are_counted_as_trials(value):
    assert estimate_share([value] * 7, seed=0, name="x") == estimate_rate([value == 1] * 7)


def test_other_shares_are_means():
    assert estimate_share([0.5, 1.0], seed=1, name="x") == estimate_mean([0.5, 1.0], seed=1, name="x")


def test_nothing_measured():
    for estimate in (estimate_mean, estimate_share):
        with pytest.raises(ValueError):
            estimate([], seed=0, name="x")
