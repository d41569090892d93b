from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from vapo.algorithms.noisy_rollout import NoisyRollout, find_strength

GREY = [Image.new("RGB", (64, 64), (128, 128, 128)), Image.new("L", (32, 64), 128)]


def sample(algorithm, member, group_size=6, progress=0.0, seed=0):
    return algorithm.images_to_sample(GREY, member, group_size, np.random.default_rng(seed), progress)


@pytest.mark.parametrize(("progress", "steps"), [(0.0, 499), (2 / 3, 250), (0.7, 134), (1.0, 0)])
def test_noise_goes_away_along_a_sigmoid(progress, steps):
    """500 / (1 + e^x) with x = 30 * (progress - 2/3): -20, 0, 1 and 10."""
    assert NoisyRollout().count_steps(progress) == steps


def test_strength_of_a_step():
    """At the first step it is the root of the first beta, 1e-5 + 0.00499 * sigmoid(-6)."""
    assert find_strength(0) == pytest.approx((1e-5 + 0.00499 / (1 + np.e**6)) ** 0.5)
    assert find_strength(500) == pytest.approx(0.505, abs=1e-3)
    strengths = [find_strength(step) for step in range(0, 1000, 50)]
    assert strengths == sorted(strengths) and strengths[-1] < 1


def test_half_of_a_group_sees_noise():
    seen = [sample(NoisyRollout(), member) for member in range(6)]
    assert all(own is GREY for own in seen[:3])
    for own in seen[3:]:
        assert [image.size for image in own] == [(64, 64), (32, 64)]
        pixels = np.array(own[0]) / 255
        assert pixels.std() > 0.2 and pixels.mean() < 0.5


def test_of_an_odd_group_the_share_is_rounded():
    assert [sample(NoisyRollout(noisy_share=0.3), member, 5) is GREY for member in range(5)] == [True] * 3 + [
        False
    ] * 2


def test_noise_is_drawn_from_the_generator_alone():
    first, again, other = (np.array(sample(NoisyRollout(), 5, seed=seed)[0]) for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any()


def test_none_is_left_at_the_end():
    assert all(sample(NoisyRollout(), member, progress=1.0) is GREY for member in range(6))


@pytest.mark.parametrize("off", [{"noise_steps": 0}, {"noisy_share": 0.0}])
def test_without_noise_nothing_is_asked(off):
    assert not NoisyRollout(**off).needs.sampled_images and NoisyRollout().needs.sampled_images
