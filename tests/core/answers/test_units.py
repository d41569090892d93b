"""Units: found at the end of an answer, compared by what they measure."""

import pytest

from vapo.core.answers.spelling import clean
from vapo.core.answers.units import is_same_dimension, read_unit, split_unit


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("25\\text{ cm}^2", "25", "cm^2"),
        ("9.8\\text{ m/s}^2", "9.8", "m s^{-2}"),
        ("48\\pi\\text{ cm}^3", "48\\pi", "cubic centimeters"),
        ("12\\sqrt{3} m", "12\\sqrt{3}", "meters"),
        ("30^\\circ\\text{C}", "30", "°C"),
        ("5\\ \\mu\\text{m}", "5", "micrometers"),
        ("5k\\Omega", "5", "k\\Omega"),
        ("60 miles per hour", "60", "mph"),
        ("6 sq. ft", "6", "square feet"),
        ("1,000.99m²", "1,000.99", "m^2"),
        ("5 \\text{ N}\\cdot\\text{m}", "5", "J"),
        ("4.2 × 10^{3} J", "4.2 \\times 10^{3}", "joules"),
        ("$1,200", "1,200", "dollars"),
        ("-€5", "-5", "EUR"),
        ("30平方厘米", "30", "cm^2"),
        ("100元", "100", "yuan"),
        ('3"', "3", "inches"),
    ],
)
def test_a_unit_is_split_off(text, value, unit):
    before, found = split_unit(clean(text))
    expected = read_unit(clean(unit))
    assert before == value and found is not None and expected is not None
    assert (found.dimensions, found.factor) == (expected.dimensions, expected.factor)


@pytest.mark.parametrize(
    "text", ["5x", "3 million", "5 or 6", "3 more", "12.5%", "5", "x cm y", "3 left", "1990s", "\\sin 30°"]
)
def test_what_is_no_unit_stays(text):
    assert split_unit(clean(text)) == (clean(text), None)


def test_things_that_are_counted_are_units_too():
    apples, pears = split_unit("3 apples")[1], split_unit("3 pears")[1]
    assert apples is not None and pears is not None and apples == split_unit("4 apple")[1]
    assert not is_same_dimension(apples, pears)
    assert split_unit("3个苹果") == ("3", split_unit("5苹果")[1])


def test_a_letter_behind_a_digit_may_be_a_variable():
    assert split_unit("5m")[1].is_letter and not split_unit("5 m")[1].is_letter
