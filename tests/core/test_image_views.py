from __future__ import annotations

import numpy as np
import pytest

from vapo.core.image_views import add_noise, blacken_patches

WHITE = np.full((30, 45, 3), 255, dtype=np.uint8)


def test_patches_are_black_or_as_they_were():
    black = (blacken_patches(WHITE, 0.6, 14, np.random.default_rng(0)) == 0).all(-1)
    for top in range(0, 30, 14):
        for left in range(0, 45, 14):
            assert len(np.unique(black[top : top + 14, left : left + 14])) == 1
    shares = [(blacken_patches(WHITE, 0.6, 1, np.random.default_rng(n)) == 0).mean() for n in range(20)]
    assert np.mean(shares) == pytest.approx(0.6, abs=0.01)


@pytest.mark.parametrize(("share", "value"), [(0.0, 255), (1.0, 0)])
def test_no_patch_and_all_patches(share, value):
    assert (blacken_patches(WHITE, share, 14, np.random.default_rng(0)) == value).all()


def test_noise_of_no_strength_changes_nothing_and_of_full_strength_leaves_nothing():
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    assert (add_noise(image, 0.0, np.random.default_rng(1)) == image).all()
    full = add_noise(image, 1.0, np.random.default_rng(1))
    assert (full == add_noise(WHITE[:1, :1].repeat(40, 0).repeat(40, 1), 1.0, np.random.default_rng(1))).all()


def test_noise_keeps_the_share_of_the_signal_that_it_says():
    grey = np.full((200, 200, 3), 160, dtype=np.uint8)  # a signal of 0.255
    noisy = add_noise(grey, 0.3, np.random.default_rng(0)) / 127.5 - 1
    assert noisy.mean() == pytest.approx((160 / 127.5 - 1) * (1 - 0.3**2) ** 0.5, abs=0.01)
    assert noisy.std() == pytest.approx(0.3, abs=0.01)


def test_noise_over_pixels_from_0_to_1_darkens():
    grey = np.full((200, 200, 3), 128, dtype=np.uint8)
    noisy = add_noise(grey, 0.2, np.random.default_rng(0), darkest=0.0) / 255
    assert noisy.mean() == pytest.approx(128 / 255 * (1 - 0.2**2) ** 0.5, abs=0.01)
    assert noisy.std() == pytest.approx(0.2, abs=0.01)
