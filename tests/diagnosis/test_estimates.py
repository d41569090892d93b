from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from vapo.core.intervals import clustered_interval
from vapo.diagnosis.estimate_words import is_clear
from vapo.diagnosis.estimates import FEW, Estimate, estimate_difference, estimate_mean, estimate_rate, estimate_share


def test_rate_by_hand():
    # Wilson, 8 of 10, z = 1.959964, z^2 = 3.841459: centre (0.8 + 0.192073) / 1.384146 = 0.716740,
    # half 1.959964 * sqrt(0.016 + 0.00960365) / 1.384146 = 0.226577.
    estimate = estimate_rate([True] * 8 + [False] * 2)
    assert estimate.value == 0.8 and estimate.num_questions == 10
    assert (estimate.low, estimate.high) == pytest.approx((0.490162, 0.943318), abs=2e-6)


def test_mean_of_unlike_values_has_an_interval_around_it():
    estimate = estimate_mean([0.0, 1.0, 2.0, 5.0], seed=0, name="x")
    assert estimate.low is not None and estimate.high is not None
    # Student: s^2 = (4 + 1 + 0 + 9) / 3, half 3.182446 s / 2.
    assert (estimate.low, estimate.high) == pytest.approx((2 - 3.437435, 2 + 3.437435), abs=1e-5)
    assert estimate == estimate_mean([0.0, 1.0, 2.0, 5.0], seed=0, name="x")


@pytest.mark.parametrize("values", [[3.0], [3.0, 3.0, 3.0], [0.0, 0.0]])
def test_values_all_alike_claim_no_certainty(values):
    estimate = estimate_mean(values, seed=0, name="x")
    assert estimate.value == values[0] and estimate.low is None and estimate.high is None


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_shares_all_alike_are_counted_as_trials(value):
    assert estimate_share([value] * 7, seed=0, name="x") == estimate_rate([value == 1] * 7)


def test_other_shares_are_means():
    values = [0.4, 0.5, 0.6] * 20
    assert estimate_share(values, seed=1, name="x") == estimate_mean(values, seed=1, name="x")
    estimate = estimate_share([0.5, 1.0], seed=1, name="x")
    assert (estimate.low, estimate.high) == (0.0, 1.0)  # as far as shares go


def test_nothing_measured():
    for estimate in (estimate_mean, estimate_share):
        with pytest.raises(ValueError):
            estimate([], seed=0, name="x")


DRAWS: dict[str, tuple[Callable[[np.random.Generator, int], np.ndarray], float]] = {
    "normal": (lambda rng, size: rng.normal(0.3, 1.0, size), 0.3),
    "shares": (lambda rng, size: rng.beta(7, 3, size), 0.7),
    "answers gained and lost": (lambda rng, size: rng.choice([-1.0, 0.0, 1.0], p=[0.1, 0.6, 0.3], size=size), 0.2),
    "claims gained and lost": (lambda rng, size: (rng.binomial(3, 0.8, size) - rng.binomial(3, 0.75, size)) / 3, 0.05),
}


@pytest.mark.parametrize("questions", [5, 10, 20, 50, 200])
@pytest.mark.parametrize("kind", DRAWS)
def test_intervals_cover_from_five_questions_on(questions: int, kind: str):
    """The percentile bootstrap's hold the mean of 5 values in .81 to .87 of cases, of 10 in .88 to .93."""
    draw, mean = DRAWS[kind]
    rng = np.random.default_rng(questions)
    estimates = [estimate_mean(draw(rng, questions).tolist(), seed=n, name=kind) for n in range(1000)]
    held = [one.low <= mean <= one.high for one in estimates if one.low is not None and one.high is not None]
    assert len(held) > 900 and np.mean(held) > 0.925


@pytest.mark.parametrize("questions", [10, 200])
def test_four_answers_gained_and_none_lost_are_no_clear_difference(questions: int):
    change = estimate_difference([1.0] * 4 + [0.0] * (questions - 4), seed=0, name="x", most=1.0)
    assert change.low is not None and change.low <= 0 and not is_clear(change)


@pytest.mark.parametrize("count", range(1, 10))
def test_differences_all_alike_are_clear_from_six_on(count: int):
    change = estimate_difference([-0.5] * count, seed=0, name="x", most=1.0)
    assert is_clear(change) is (count >= 6)
    if count < 6:
        assert (change.low, change.high) == (-1.0, 0.0)
    assert not is_clear(estimate_difference([0.0] * count, seed=0, name="x"))


def test_a_clear_difference_of_answers_passes_mcnemars_test():
    rng, clear = np.random.default_rng(0), 0
    for number in range(400):
        gained, lost, ties = rng.integers(0, 15), rng.integers(0, 6), rng.integers(0, 80)
        values = [1.0] * gained + [-1.0] * lost + [0.0] * ties
        if values:
            change = estimate_difference(values, seed=number, name="x", most=1.0)
            exact = stats.binomtest(int(gained), int(gained + lost)).pvalue if gained + lost else 1.0
            assert not is_clear(change) or exact < 0.05
            clear += is_clear(change)
    assert clear > 80


def test_two_models_that_are_alike_are_seldom_told_apart():
    rng = np.random.default_rng(1)
    for questions, changed in ((10, 0.4), (50, 0.06), (200, 0.02)):
        chances = [changed / 2, 1 - changed, changed / 2]
        changes = [
            estimate_difference(rng.choice([-1.0, 0.0, 1.0], p=chances, size=questions).tolist(), seed=n, name="x")
            for n in range(400)
        ]
        assert np.mean(list(map(is_clear, changes))) <= 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5


def test_questions_about_one_image_count_together():
    outcomes, images = [True, True, False, False, True, True], ["a", "a", "b", "b", "c", "c"]
    rate = estimate_rate(outcomes, images)
    assert (rate.value, rate.num_questions) == (4 / 6, 6)
    assert (rate.low, rate.high) == clustered_interval([2, 0, 2], [2, 2, 2])
    assert estimate_rate(outcomes, list("abcdef")) == estimate_rate(outcomes)
    # Student's, of the images' means.
    values = [0.1, 0.3, 0.5, 0.7, 0.6, 0.4]
    mean = estimate_mean(values, seed=0, name="x", images=images)
    assert (mean.low, mean.high) == pytest.approx(stats.t.interval(0.95, 2, 1.3 / 3, stats.sem([0.2, 0.6, 0.5])))
    assert mean.num_questions == 6
    assert estimate_mean(values, seed=0, name="x", images=["a"] * 6) == Estimate(pytest.approx(2.6 / 6), None, None, 6)
    with pytest.raises(ValueError, match="one image per value"):
        estimate_mean(values, seed=0, name="x", images=["a", "a"])
    # Six questions gained would be clear; those of three images are not.
    assert is_clear(estimate_difference([1.0] * 6, seed=0, name="x"))
    assert not is_clear(estimate_difference([1.0] * 6, seed=0, name="x", images=images))


@pytest.mark.parametrize("num_images", [10, FEW, 120])
def test_intervals_cover_where_questions_share_images(num_images: int):
    """Four questions about each image; as if they were independent, .75 to .80 of the intervals would hold it."""
    rng = np.random.default_rng(num_images)
    images = [str(image) for image in range(num_images) for _ in range(4)]
    held = np.zeros(3)
    for number in range(300):
        chances = np.repeat(rng.beta(1.4, 0.6, num_images), 4)
        right = rng.random(len(chances)) < chances
        shares = chances + rng.normal(0, 0.01, len(chances))
        estimates = (
            estimate_rate(right.tolist(), images),
            estimate_mean(right.astype(float).tolist(), seed=number, name="x", images=images),
            estimate_mean(shares.tolist(), seed=number, name="y", images=images),
        )
        held += [one.low is not None and one.high is not None and one.low <= 0.7 <= one.high for one in estimates]
    assert (held / 300 > 0.9).all()
