"""The hash of an image: a case by hand, what it must not notice, and the search against all pairs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vapo.core.perceptual_hash import BITS, SIDE, find_near, hash_grey


def test_a_single_wave_by_hand():
    # cos(pi k (2x + 1) / 2 SIDE) along x is the k-th basis function of the transform: its only frequency that is not
    # zero stands in row 0, column k, hence at k - 1 once the mean is left out.
    wave = np.cos(np.pi * 5 * (2 * np.arange(SIDE) + 1) / (2 * SIDE))
    image = np.tile(wave, (SIDE, 1))
    assert np.flatnonzero(hash_grey(image)).tolist() == [4]
    assert not hash_grey(-image).any()


def test_plain_images_are_alike():
    for grey in (0.0, 17.3, 255.0):
        assert not hash_grey(np.full((SIDE, SIDE), grey)).any()


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 10), st.floats(-100, 100))
def test_brightness_and_contrast_change_nothing(seed, scale, shift):
    image = np.random.default_rng(seed).uniform(0, 255, (SIDE, SIDE))
    # A frequency that lies at the median may fall to either side of it by rounding.
    assert (hash_grey(scale * image + shift) != hash_grey(image)).sum() <= 1


def test_half_of_the_bits_are_set():
    assert hash_grey(np.random.default_rng(0).uniform(size=(SIDE, SIDE))).sum() == (BITS - 1) // 2


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 8), st.integers(0, 2**32 - 1))
def test_near_pairs_are_those_that_differ_in_few_bits(rows, others, most, seed):
    rng = np.random.default_rng(seed)
    left, right = rng.random((rows, 9)) < 0.5, rng.random((others, 9)) < 0.5
    expected = [
        (i, j, int((left[i] != right[j]).sum()))
        for i in range(rows)
        for j in range(others)
        if (left[i] != right[j]).sum() <= most
    ]
    assert list(find_near(left, right, most)) == expected


def test_many_hashes_are_compared_piece_by_piece(monkeypatch):
    monkeypatch.setattr("vapo.core.perceptual_hash._TOGETHER", 10)
    hashes = np.random.default_rng(1).random((20, BITS)) < 0.5
    assert [pair for pair in find_near(hashes, hashes, 0)] == [(row, row, 0) for row in range(20)]


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match="resize it"):
        hash_grey(np.zeros((SIDE, SIDE + 1)))
