"""Variances that were put in are found again."""

import numpy as np
import pytest

from studies.mechanism.variance import decompose


def make_rewards(rng, *, between, signal, common, own, groups=4000, completions=4, draws=6):
    """Rewards with known variances: of groups, of responses, of noise that a group shares, of a response's own."""
    group = rng.normal(0, between**0.5, size=(groups, 1, 1))
    response = rng.normal(0, signal**0.5, size=(groups, completions, 1))
    shared = rng.normal(0, common**0.5, size=(groups, 1, draws))
    noise = rng.normal(0, own**0.5, size=(groups, completions, draws))
    return 0.5 + group + response + shared + noise


@pytest.mark.parametrize("common", [0.0, 0.5])
def test_signal_noise_and_groups_are_told_apart(common):
    rewards = make_rewards(np.random.default_rng(0), between=0.3, signal=0.2, common=common, own=0.4)
    spread = decompose(rewards)
    assert spread.signal == pytest.approx(0.2 * 3 / 4, rel=0.05)  # (1 - 1/G) of a completion's own
    assert spread.within == pytest.approx(0.2, rel=0.05)
    assert spread.noise == pytest.approx(0.4 * 3 / 4, rel=0.05)  # (1 - 1/G) of a completion's own noise
    assert spread.between == pytest.approx(0.3, rel=0.1)
    assert spread.share_within == pytest.approx(0.2 / 0.5, rel=0.1)
    assert spread.signal_share == pytest.approx(0.2 / 0.6, rel=0.05)


def test_by_hand():
    # One group, two completions, two draws: rewards 1, 0 and 0, 0. Centred per draw: (1/2, -1/2) and (0, 0); the
    # variance over draws is 1/8 for both. Means over draws, centred: 1/4 and -1/4, squared 1/16, less half the noise.
    rewards = np.array([[[1.0, 0.0], [0.0, 0.0]]] * 2)
    spread = decompose(rewards)
    assert spread.noise == pytest.approx(1 / 8)
    assert spread.signal == pytest.approx(0.0)


@pytest.mark.parametrize("completions", [2, 4, 8])
def test_signal_and_noise_are_unbiased_and_their_ratio_is_that_of_single_responses(completions):
    """With the signal of single responses over the noise of centred rewards, the ratio is G / (G - 1) too great."""
    rng = np.random.default_rng(2)
    found = [
        decompose(make_rewards(rng, between=0.3, signal=0.2, common=0.1, own=0.1, groups=200, completions=completions))
        for _ in range(100)
    ]
    left = 1 - 1 / completions
    for name, truth in (("signal", 0.2 * left), ("noise", 0.1 * left), ("within", 0.2), ("between", 0.3)):
        values = [getattr(spread, name) for spread in found]
        assert np.mean(values) == pytest.approx(truth, abs=4 * np.std(values) / 10)
    ratios = [spread.signal / spread.noise for spread in found]
    assert np.mean(ratios) == pytest.approx(2.0, abs=4 * np.std(ratios) / 10 + 0.01)


def test_a_signal_of_none_is_unbiased_too():
    rng = np.random.default_rng(3)
    signals = [
        decompose(make_rewards(rng, between=0.3, signal=0.0, common=0.1, own=0.4, groups=20)).signal
        for _ in range(400)
    ]
    assert np.mean(signals) == pytest.approx(0.0, abs=4 * np.std(signals) / 20)


@pytest.mark.parametrize("groups", [8, 32])
def test_intervals_over_groups_cover(groups):
    rng = np.random.default_rng(4)
    held = np.zeros(3)
    for _ in range(600):
        rewards = make_rewards(rng, between=0.3, signal=0.02, common=0.1, own=0.011, groups=groups, completions=8)
        spread = decompose(rewards)
        truths = (0.02 * 7 / 8, 0.011 * 7 / 8, 0.02 / 0.011)
        bounds = (spread.signal_bounds, spread.noise_bounds, spread.ratio_bounds)
        held += [own is not None and own[0] <= truth <= own[1] for own, truth in zip(bounds, truths, strict=True)]
    assert (held / 600 > 0.92).all() and (held / 600 < 0.98).all()


def test_responses_that_are_all_alike_teach_nothing():
    rewards = make_rewards(np.random.default_rng(1), between=0.3, signal=0.0, common=0.2, own=0.0)
    spread = decompose(rewards)
    assert spread.share_within == 0.0
    assert spread.signal_share == 0.0


@pytest.mark.parametrize("shape", [(1, 2, 2), (2, 1, 2), (2, 2, 1), (2, 2)])
def test_too_little_to_tell_is_refused(shape):
    with pytest.raises(ValueError, match="each at least 2"):
        decompose(np.zeros(shape))
