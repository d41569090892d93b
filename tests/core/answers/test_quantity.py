"""Quantities: digits and words, percent, mixed numbers, rounding."""

import pytest

from vapo.core.answers.quantity import is_same_quantity, read_decimal_comma, read_quantity, spell_words
from vapo.core.answers.spelling import clean


def ask(answer, reference):
    return is_same_quantity(read_quantity(clean(answer)), read_quantity(clean(reference)))[0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2 1/2", "2.5"),
        ("-2 1/4", "-2.25"),
        ("2½", "2.5"),
        ("1 234", "1234"),
        ("1\\,234", "1234"),
        ("11,\\! 111", "11111"),
        ("twenty-one", "21"),
        ("minus five", "-5"),
        ("two thirds", "2/3"),
        ("3 million", "3000000"),
        ("3万", "30000"),
        ("三个", "3"),
        ("百分之28", "28%"),
        ("28", "28%"),
        ("0.28", "28%"),
        ("50%", "0.5"),
        ("100 cm", "1 m"),
        ("5 ft 6 in", "66 inches"),
        ("3 hours 30 minutes", "3.5 h"),
        ("5 (cm)", "5 cm"),
        ("45°", "\\frac{\\pi}{4}"),
        ("3.141593", "\\pi"),
        ("0.0833333333333333", "\\frac{1}{12}"),
    ],
)
def test_equal(one, other):
    assert ask(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("28%", "0.28%"), ("0.5", "50"), ("5 km", "5 m"), ("5", "5m"), ("0.33", "1/3"), ("123456.789", "123456.788")],
)
def test_different(one, other):
    assert not ask(one, other)


@pytest.mark.parametrize(
    "text", ["5 or 6", "5, 6", "not 5", "cat", "%", "5 (not 6)", "3 hours 3 apples", "30 min 2 h"]
)
def test_what_is_no_single_quantity(text):
    assert read_quantity(clean(text)) is None


def test_a_decimal_comma_is_read_where_it_is_no_thousand():
    assert read_decimal_comma("1,5") == read_quantity("1.5") and read_decimal_comma("0,125") == read_quantity("0.125")
    assert read_decimal_comma("1,500") is None and read_decimal_comma("1, 5") is None


def test_number_words_in_a_text():
    assert spell_words("three cats and twenty-one dogs") == "3 cats and 21 dogs"
    assert spell_words("two five") == "two five"
