"""Variances that were put in are found again."""

import numpy as np
import pytest

from studies.comparison.variance import decompose


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
    assert spread.signal == pytest.approx(0.2, rel=0.05)
    assert spread.noise == pytest.approx(0.4 * 3 / 4, rel=0.05)  # (1 - 1/G) of a completion's own noise
    assert spread.between == pytest.approx(0.3, rel=0.1)
    assert spread.share_within == pytest.approx(0.2 / 0.5, rel=0.1)
    assert spread.signal_share == pytest.approx(0.2 / 0.5, rel=0.05)


def test_by_hand():
    # One group, two completions, two draws: rewards 1, 0 and 0, 0. Centred per draw: (1/2, -1/2) and (0, 0); the
    # variance over draws is 1/8 for both. Means over draws: 1/2 and 0, variance 1/8, less own noise 2 * 1/8 / 2 = 1/8.
    rewards = np.array([[[1.0, 0.0], [0.0, 0.0]]] * 2)
    spread = decompose(rewards)
    assert spread.noise == pytest.approx(1 / 8)
    assert spread.signal == pytest.approx(0.0)


def test_responses_that_are_all_alike_teach_nothing():
    rewards = make_rewards(np.random.default_rng(1), between=0.3, signal=0.0, common=0.2, own=0.0)
    spread = decompose(rewards)
    assert spread.share_within == 0.0
    assert spread.signal_share == 0.0


@pytest.mark.parametrize("shape", [(1, 2, 2), (2, 1, 2), (2, 2, 1), (2, 2)])
def test_too_little_to_tell_is_refused(shape):
    with pytest.raises(ValueError, match="each at least 2"):
        decompose(np.zeros(shape))
