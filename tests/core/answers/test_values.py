"""Values: equal whatever the symbols stand for, told apart however small, refused where too large."""

import pytest

from vapo.core.answers.formula import parse_formula
from vapo.core.answers.spelling import clean
from vapo.core.answers.values import is_proportional, is_same_value, subtract, take_number


def ask(one, other):
    trees = parse_formula(clean(one)), parse_formula(clean(other))
    assert None not in trees
    return is_same_value(*trees)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x^2-1", "(x-1)(x+1)"),
        ("\\sin^2 x+\\cos^2 x", "1"),
        ("\\sec^2 y", "\\tan^2 y+1"),
        ("\\sqrt{1/n}", "\\frac{1}{\\sqrt n}"),
        ("\\sqrt[3]{-8}", "-2"),
        ("\\frac{1}{3x^{2/3}}", "\\frac{1}{3\\sqrt[3]{x}^2}"),
        ("e^{i\\pi}", "-1"),
        ("\\sin \\pi", "0"),
        ("\\log_2 8", "3"),
        ("\\log 100", "2"),
        ("\\sin 30°", "\\frac12"),
        ("\\tan^{-1}(1)", "\\frac{\\pi}{4}"),
        ("n!", "n(n-1)!"),
        ("\\binom{n}{2}", "\\frac{n(n-1)}{2}"),
        ("\\lfloor 2.5 \\rfloor", "2"),
        ("|-3|", "3"),
        ("2^{n+1}", "2\\cdot2^n"),
        ("-\\infty", "-\\infty"),
    ],
)
def test_equal(one, other):
    assert ask(one, other) is True


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("10^{-20}", "10^{-30}"),
        ("10^{-20}", "0"),
        ("\\frac{1}{2006!}", "\\frac{1}{2004!}"),
        ("\\frac{\\pi}{10^{40}}", "\\frac{\\pi}{10^{41}}"),
        ("\\frac{2^{2005}+1}{3\\cdot2^{2006}}", "\\frac{1}{3\\cdot2^{2006}}"),
        ("3.14", "\\pi"),
        ("\\sqrt{x^2}", "x"),
        ("|x-2|", "2-x"),
        ("f(2x)", "2f(x)"),
        ("x", "y"),
        ("\\infty", "-\\infty"),
        ("\\infty", "5"),
    ],
)
def test_different(one, other):
    assert ask(one, other) is False


@pytest.mark.parametrize("text", ["9^{9^{9^{9}}}", "((10^9)!)!", "\\frac{1}{0}", "e^{10^9}", "\\sin(10^{9999})"])
def test_what_is_too_large_is_refused(text):
    assert ask(text, "5") is None and take_number(parse_formula(text)) is None


def test_equations_are_equal_but_for_a_factor():
    lines = [subtract("3x-y+13", "0"), subtract("y", "3x+13"), subtract("3x+4y+14", "0")]
    assert is_proportional(lines[0], lines[1]) and not is_proportional(lines[0], lines[2])
    assert is_proportional(lines[0], subtract("0", "3x-y+13"))
    assert not is_proportional(lines[0], subtract("0", "3x-y+13"), positive=True)
    assert subtract("3x", "west") is None
