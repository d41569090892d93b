"""Equations: their sides, what they name, and what they say a value to be."""

import pytest

from vapo.core.answers.equations import is_function, is_name, list_numbers, split_sides, take_values


@pytest.mark.parametrize(
    ("text", "sides"),
    [("x = 5", ["x", "5"]), ("a=b=c", ["a", "b", "c"]), ("5", ["5"]), ("x <= 5", ["x <= 5"]), ("f(x=1)", ["f(x=1)"])],
)
def test_sides(text, sides):
    assert split_sides(text) == sides


def test_names():
    assert all(map(is_name, ["x", "f(x)", "the area", "\\angle ABC"]))
    assert not any(map(is_name, ["5", "2x + 4", "\\frac{1}{2}", "not x"]))
    assert is_function("g (t)") and is_function("y") and not is_function("x")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("x = 5", ["5"]),
        ("5 = x", ["5"]),
        ("C. 5", ["5"]),
        ("the area is 5", ["5"]),
        ("Area: 5 cm", ["5 cm"]),
        ("wrong: 5", []),
        ("f(2) = 5", ["5"]),
        ("2 + 3 = 5", ["5"]),
        ("2 + 3 = 6", []),
        ("x = 9\\pi \\approx 28.27", ["9\\pi", "28.27"]),
        ("x = 9\\pi \\approx 30", []),
        ("2x + 4 = 10", []),
        ("the area is not 5", []),
        ("5", []),
    ],
)
def test_what_an_answer_says_a_value_to_be(text, values):
    assert take_values(text) == values


@pytest.mark.parametrize(
    ("answer", "numbers"),
    [
        ("\\sqrt{4}", [2]),
        ("2 cm", [2]),
        ("x = 2", [2]),
        ("two", [2]),
        ("2 million", [2e6]),
        ("50\\%", [50, 0.5]),
        ("2,5", [2.5]),
        ("2 or 3", []),
        ("not 2", []),
        ("more than 2", []),
        ("A2", []),
        ("2-3", []),
        ("x", []),
        ("\\infty", []),
    ],
)
def test_numbers_of_answers(answer, numbers):
    assert list_numbers(answer) == numbers
    assert list_numbers("2,5", decimal_comma=False) == []
