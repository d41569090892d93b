"""Intervals and inequalities: the same set, however it is written."""

import pytest

from vapo.core.answers.regions import is_same_region, is_same_relation, read_region, read_relation
from vapo.core.answers.spelling import clean


def read(text):
    return read_region(clean(text), of_brackets=True)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x≥2", "[2,∞)"),
        ("2 <= x", "x \\in [2, +\\infty)"),
        ("0<x<12.5", "(0,\\frac{25}{2})"),
        ("3 > x \\ge -1", "[-1,3)"),
        ("x<-1 or x>3", "(3,\\infty)\\cup(-\\infty,-1)"),
        ("x \\ne 2", "(-\\infty,2)\\cup(2,\\infty)"),
        ("\\{x \\mid x > 2\\}", "(2,\\infty)"),
        ("\\mathbb{R}", "(-\\infty,\\infty)"),
        ("\\mathbb{R}\\setminus\\{3, -1\\}", "x \\ne -1 and x \\ne 3"),
        ("all real numbers except 2", "x \\ne 2"),
        ("x > 3 and x \\le 5", "(3,5]"),
        ("x > 3 and x \\ge 3", "x > 3"),
        ("|x| \\le 1", "[-1,1]"),
        ("|x+2| > 3", "x < -5 or x > 1"),
    ],
)
def test_the_same_set(one, other):
    assert is_same_region(read(one), read(other))


@pytest.mark.parametrize(
    ("one", "other"), [("x>2", "x≥2"), ("[0,1]", "[0,1)"), ("(0,1)", "(0,2)"), ("(0,1)∪(1,2)", "(0,2)")]
)
def test_other_sets(one, other):
    assert not is_same_region(read(one), read(other))


@pytest.mark.parametrize("text", ["x > 3 and y < 5", "x < 3 and x > 5", "|x| < -1", "\\mathbb{R}\\setminus\\{x\\}"])
def test_no_set_of_one_variable(text):
    assert read(text) is None


def test_two_numbers_in_brackets_may_be_a_point():
    assert read_region("(0,1)") is None and read_region("[0,1)") is not None and read("(2,1)") is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("A > B", "B < A", True),
        ("A > B", "B > A", False),
        ("A > B > C", "C < B < A", True),
        ("2x+y<3", "6 > 4x+2y", True),
        ("2x+y<3", "2x+y>3", False),
        ("2x+y<3", "2x+y\\le 3", False),
    ],
)
def test_inequalities(one, other, same):
    assert is_same_relation(read_relation(one), read_relation(other)) is same
