"""Equations, and what an answer in the form of one says a value to be."""

from __future__ import annotations

import math
import re

from vapo.core.answers.choices import read_letters
from vapo.core.answers.formula import list_symbols
from vapo.core.answers.quantity import read_decimal_comma, read_quantity
from vapo.core.answers.sequences import read_items
from vapo.core.answers.spelling import clean, split_outside
from vapo.core.answers.values import is_same_value, take_number
from vapo.core.answers.words import read_span

_EQUALS = re.compile(r"\s*(?:(?<![<>!=\\])=(?!=)|\\approx(?![A-Za-z]))\s*")
_NAME = re.compile(r"(?:the\s+)?[A-Za-z|\\][A-Za-z\\ _{}'\d|()\[\],°\u4e00-\u9fff]*|[\u4e00-\u9fff]+", re.IGNORECASE)
_NO_NAME = re.compile(r"\\(?:frac|sqrt|sin|cos|tan|log|ln)|(?<![A-Za-z])(?:not|never|no)(?![A-Za-z])")
_FUNCTION = re.compile(r"[a-zA-Z]\s*\(\s*[a-z]\s*\)|y")
_SAID = re.compile(
    r"(?:the\s+|its\s+)?[A-Za-z][A-Za-z ]{0,40}?(?:\s+(?:is|are|equals)\s+(?:equal to\s+)?|(?<=[A-Za-z]{3}):\s*)"
    r"(?P<value>[^A-Za-z\s].*)"
)
_DENIED = re.compile(r"(?<![A-Za-z])(?:not|than|least|most|or|never|no|wrong|incorrect)(?![A-Za-z])")


def split_sides(text: str) -> list[str]:
    """Return the sides of an equation, or of a response of them; the text alone if it is none."""
    return split_outside(text, _EQUALS)


def is_name(text: str) -> bool:
    """Return whether a side names what the equation gives the value of, as `x`, `f(x)` or `the area` do."""
    return bool(_NAME.fullmatch(text)) and not _NO_NAME.search(text)


def is_function(name: str) -> bool:
    """Return whether a name stands for the value of a function of one variable: `f(x)`, or `y`."""
    return bool(_FUNCTION.fullmatch(name))


def take_values(text: str) -> list[str]:
    """Return what an answer says a value to be: the 5 of `x = 5`, of "C. 5" and of "the area is 5".

    Of `2 + 3 = 5` it is the 5, if that is right; of `x = 9\\pi \\approx 28.27` either.
    """
    letters = read_letters(text)
    if letters is not None and letters.text:
        return [letters.text]
    sides = split_sides(text)
    if len(sides) == 1:
        said = _SAID.fullmatch(text)
        return [said["value"]] if said and not _DENIED.search(text) else []
    if not all(sides) or read_items(text) is not None:
        return []
    if "\\approx" in text and len(sides) > 1:
        return _take_rounded(sides)
    if len(sides) == 2 and is_name(sides[1]) and read_quantity(sides[0]) is not None:
        return [sides[0], sides[1]] if is_name(sides[0]) else [sides[0]]
    numbers = [quantity.tree for quantity in map(read_quantity, sides) if quantity is not None]
    plain = [number for number in numbers if not list_symbols(number)]
    if len(plain) == len(sides) or not re.search(r"[A-Za-z\u4e00-\u9fff]", sides[0]):
        is_right = len(plain) == len(sides) and all(is_same_value(plain[0], number) for number in plain[1:])
        return [sides[-1]] if is_right else []
    # A left side with digits, as of 2x + 4 = 10, is to be solved, and says of nothing what it is.
    is_to_be_solved = not is_name(sides[0]) and (sides[-1] == "0" or re.search(r"(?<!_)\d", sides[0]))
    return [] if is_to_be_solved or _DENIED.search(sides[0]) else [sides[-1]]


def list_numbers(answer: str, *, decimal_comma: bool = True) -> list[float]:
    """Return the number that an answer is, without its unit, and of a percentage its share; empty if it is none.

    Args:
        answer: what was answered.
        decimal_comma: whether 2,5 is read as two and a half; else it is two numbers.
    """
    text = clean(answer)
    read = [read_quantity(text), *map(read_quantity, map(clean, take_values(text)))]
    if decimal_comma:
        read.append(read_decimal_comma(text))
    quantity = next((one for one in read if one is not None), None)
    number = None if quantity is None or read_span(text) else take_number(quantity.tree)
    if number is None or quantity is None or not math.isfinite(number):
        return []
    return [float(number), float(number) / 100] if quantity.is_percent else [float(number)]


def _take_rounded(sides: list[str]) -> list[str]:
    """Return the exact and the rounded value, where they are as close as rounding leaves them."""
    exact, rounded = (read_quantity(side) for side in sides[-2:])
    if rounded is None:
        return []
    if exact is None or list_symbols(exact.tree):
        return [sides[-1]]
    values = take_number(exact.tree), take_number(rounded.tree)
    if None in values or abs(values[0] - values[1]) > abs(values[0]) / 50:
        return []
    return [sides[-2], sides[-1]]
