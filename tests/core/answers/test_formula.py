"""Formulas: what is read as one, and what is a word or nothing."""

from fractions import Fraction

import pytest

from vapo.core.answers.formula import UnreadableFormula, list_symbols, parse_formula, read_decimal
from vapo.core.answers.spelling import clean
from vapo.core.answers.values import take_exactly


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2\\frac{1}{2}", Fraction(5, 2)),
        ("-2\\frac14", Fraction(-9, 4)),
        ("\\frac12", Fraction(1, 2)),
        ("\\frac{1}2", Fraction(1, 2)),
        ("2(3+4)", Fraction(14)),
        ("2^{-3}", Fraction(1, 8)),
        ("2^-3", Fraction(1, 8)),
        ("2^10", Fraction(1024)),
        ("5!", Fraction(120)),
        ("1.6e-19", Fraction(16, 10**20)),
        (".5", Fraction(1, 2)),
        ("5.", Fraction(5)),
        ("0.\\overline{3}", Fraction(1, 3)),
        ("1.2\\overline{34}", Fraction(1222, 990)),
        ("12.5%", Fraction(1, 8)),
        ("6/2/3", Fraction(1)),
        ("1/2\\cdot 4", Fraction(2)),
    ],
)
def test_arithmetic_is_exact(text, value):
    tree = parse_formula(text)
    assert tree is not None and take_exactly(tree) == value


@pytest.mark.parametrize(
    "text",
    [
        "west",
        "on",
        "cat",
        "5 6",
        "A2",
        "iPhone 12",
        "2 +",
        "(1",
        "1)",
        "\\foo",
        "",
        "x = 1",
        "1, 2",
        "\\frac{1}",
        "1 2 3",
    ],
)
def test_what_is_no_formula(text):
    assert parse_formula(text) is None


def test_letters_are_factors_and_points_are_not():
    assert list_symbols(parse_formula("2xy")) == {"x", "y"}
    assert list_symbols(parse_formula("AB + BC")) == {"AB", "BC"}
    assert list_symbols(parse_formula("x_1 + x_{12}")) == {"x_1", "x_12"}
    assert list_symbols(parse_formula("e^{i\\pi}")) == frozenset()
    assert list_symbols(parse_formula(clean("θ + \\overline{AB}"))) == {"\\theta", "\\overlineAB"}


def test_an_exponent_out_of_bounds_is_refused():
    assert read_decimal("1e5000") == 10**5000
    with pytest.raises(UnreadableFormula, match="the exponent of 1e5001 is too large"):
        read_decimal("1e5001")
