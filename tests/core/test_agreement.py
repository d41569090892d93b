"""Krippendorff's alpha: his own examples, its edges, and what the interval promises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vapo.core.agreement import bootstrap_alpha_interval, centred_correlation, nominal_alpha

UNITS = st.lists(st.lists(st.sampled_from("abc"), max_size=4), max_size=12)


def test_published_examples():
    # Krippendorff (2011), B: two observers, ten units, two categories.
    assert nominal_alpha(list(zip("0100000010", "1110010000", strict=True))) == pytest.approx(0.095, abs=5e-4)
    # E: four observers, twelve units, gaps; the last unit has one label and says nothing.
    observers = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]
    units = [[label for label in unit if label != "."] for unit in zip(*observers, strict=True)]
    assert nominal_alpha(units) == pytest.approx(0.743, abs=5e-4)


def test_by_hand():
    # Units aa, ab: ordered pairs aa 2, ab 1, ba 1, so 4 labels, a three times. Unlike pairs: 2 seen; by chance
    # (16 - 9 - 1) / 3 = 2. alpha = 1 - 2 / 2 = 0.
    assert nominal_alpha(["aa", "ab"]) == 0
    assert nominal_alpha(["aa", "bb", "b"]) == 1
    assert nominal_alpha(["ab", "ba"]) == pytest.approx(-0.5)  # always unlike, by chance 8 / 3 of 4: 1 - 4 * 3 / 8


@pytest.mark.parametrize("units", [[], ["a", "b"], ["aa", "aa"]])
def test_nothing_to_agree_on(units):
    assert nominal_alpha(units) is None
    assert bootstrap_alpha_interval(units, range(len(units)), np.random.default_rng(0)) is None


@given(UNITS, st.permutations("abc"), st.randoms())
def test_neither_names_nor_order_matter(units, names, random):
    renamed = [[names["abc".index(label)] for label in unit] for unit in units]
    for unit in renamed:
        random.shuffle(unit)
    random.shuffle(renamed)
    alpha = nominal_alpha(units)
    assert nominal_alpha(renamed) == (None if alpha is None else pytest.approx(alpha))
    assert alpha is None or alpha <= 1


def observe(rng, num_groups):
    """Two observers of claims in groups of five, right in 90 % or in 60 % where they find a group hard."""
    truth = rng.random((num_groups, 5)) < 0.5
    skill = np.where(rng.random(num_groups) < 0.5, 0.9, 0.6)[:, None]
    one, two = (np.where(rng.random(truth.shape) < skill, truth, ~truth) for _ in range(2))
    units = list(zip(one.ravel().tolist(), two.ravel().tolist(), strict=True))
    return units, [group for group in range(num_groups) for _ in range(5)]


def test_the_interval_holds_the_truth():
    rng = np.random.default_rng(0)
    truth = nominal_alpha(observe(rng, 20_000)[0])
    held = 0
    for _ in range(100):
        low, high = bootstrap_alpha_interval(*observe(rng, 60), rng, resamples=300)
        held += low <= truth <= high
    assert 88 <= held <= 100


def test_the_interval_is_that_of_its_generator():
    units, groups = observe(np.random.default_rng(0), 30)
    first, again = (bootstrap_alpha_interval(units, groups, np.random.default_rng(1)) for _ in range(2))
    assert first == again
    with pytest.raises(ValueError, match="one group per unit"):
        bootstrap_alpha_interval(units, groups[1:], np.random.default_rng(0))


def test_two_measurements_are_correlated_within_groups():
    # Centred: (-1, -2), (1, 2) and (-1, 1), (1, -1): products 4 and -2; squares 4 and 10: r = 2 / sqrt(40).
    pairs = [(0.0, 0.0), (2.0, 4.0), (10.0, 7.0), (12.0, 5.0)]
    assert centred_correlation(pairs, "aabb") == pytest.approx(2 / 40**0.5)
    assert centred_correlation([(0.0, 1.0), (5.0, 6.0)], "ab") is None  # groups differ, their members do not
    assert centred_correlation([], []) is None
    with pytest.raises(ValueError, match="2 pairs but 1 groups"):
        centred_correlation(pairs[:2], "a")
