r"""Regions of the number line: intervals, unions of them, and the inequalities that name them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vapo.core.answers.formula import INFINITY, Tree, apply, list_symbols, parse_formula
from vapo.core.answers.quantity import read_quantity
from vapo.core.answers.spelling import split_outside
from vapo.core.answers.values import is_proportional, is_same_value, subtract, take_number

_MINUS_INFINITY = apply("neg", INFINITY)


@dataclass(frozen=True, slots=True)
class Interval:
    """All numbers between two ends."""

    low: Tree
    high: Tree
    holds_low: bool
    holds_high: bool


@dataclass(frozen=True, slots=True)
class Relation:
    """An inequality that is no region: both sides, greater one first, and whether they may be equal."""

    sides: tuple[str, ...]
    signs: tuple[str, ...]


_UNION = re.compile(r"\s*(?:\\cup|\bU\b|\bor\b|或)\s*")
_BRACKETS = re.compile(r"([(\[\]])(.*)([)\]\[])", re.DOTALL)
_MEMBER = re.compile(r"\s*([A-Za-z]|\\[a-z]+)\s*\\in(?![a-z])\s*(.*)", re.DOTALL)
_SET = re.compile(r"(?:\\\{)?\s*[A-Za-z]\s*(?:\\in\s*\\mathbb\{R\}\s*)?(?:\\mid|:|\|)\s*(.*?)(?:\\\})?", re.DOTALL)
_SIGNS = re.compile(r"\s*(\\le(?![a-z])|\\ge(?![a-z])|\\ne(?![a-z])|<|>)\s*")
_MIRRORED = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le", "\\ne": "\\ne"}
_EVERYTHING = re.compile(r"(?:\\mathbb\s*\{\s*R\s*\}|(?:all\s+)?real\s+numbers|all\s+reals?)", re.IGNORECASE)


def read_region(text: str, *, of_brackets: bool = False) -> tuple[Interval, ...] | None:
    r"""Read a region; None if the text is none.

    Args:
        text: a text that `clean` has spelled.
        of_brackets: whether two numbers in brackets, which may be a point, are read as an interval.
    """
    member = _MEMBER.fullmatch(text)
    if member:
        text, of_brackets = member[2], True
    described = _SET.fullmatch(text)
    text = described[1] if described else text
    if _EVERYTHING.fullmatch(text.strip()):
        return (Interval(_MINUS_INFINITY, INFINITY, False, False),)
    parts = split_outside(text, _UNION)
    intervals: list[Interval] = []
    for part in parts:
        found = _read_inequality(part) or _read_brackets(part, of_brackets or len(parts) > 1)
        if found is None:
            return None
        intervals += found
    return tuple(sorted(intervals, key=_start))


def _start(interval: Interval) -> float:
    number = take_number(interval.low)
    return float("-inf") if number is None else float(number)


def _read_brackets(text: str, of_brackets: bool) -> list[Interval] | None:
    found = _BRACKETS.fullmatch(text.strip())
    if found is None:
        return None
    ends = split_outside(found[2], re.compile("[,;]"))
    trees = [_read_end(end) for end in ends]
    if len(trees) != 2 or trees[0] is None or trees[1] is None:
        return None
    low, high = trees[0], trees[1]
    holds_low, holds_high = found[1] == "[", found[3] == "]"
    is_certain = holds_low != holds_high or INFINITY in (high, low) or _MINUS_INFINITY in (low, high)
    if not (of_brackets or is_certain):
        return None
    least, greatest = take_number(low), take_number(high)
    if least is None or greatest is None or least > greatest:
        return None
    return [Interval(low, high, holds_low, holds_high)]


def _read_end(text: str) -> Tree | None:
    quantity = read_quantity(text)
    return None if quantity is None or list_symbols(quantity.tree) else quantity.tree


def _read_inequality(text: str) -> list[Interval] | None:
    """Read `x > a`, `a < x`, `a < x \\le b` and `x \\ne a`, with numbers at the ends."""
    pieces = _SIGNS.split(text)
    sides, signs = pieces[::2], pieces[1::2]
    if len(signs) == 1:
        if _read_variable(sides[0]) is None:
            sides, signs = sides[::-1], [_MIRRORED[signs[0]]]
        end = _read_end(sides[1])
        if _read_variable(sides[0]) is None or end is None:
            return None
        if signs[0] == "\\ne":
            return [Interval(_MINUS_INFINITY, end, False, False), Interval(end, INFINITY, False, False)]
        holds = signs[0] in ("\\le", "\\ge")
        if signs[0] in ("<", "\\le"):
            return [Interval(_MINUS_INFINITY, end, False, holds)]
        return [Interval(end, INFINITY, holds, False)]
    if len(signs) != 2 or _read_variable(sides[1]) is None:
        return None
    if signs[0] in (">", "\\ge"):
        sides, signs = sides[::-1], [_MIRRORED[sign] for sign in signs[::-1]]
    low, high = _read_end(sides[0]), _read_end(sides[2])
    if low is None or high is None or not {*signs} <= {"<", "\\le"}:
        return None
    return [Interval(low, high, signs[0] == "\\le", signs[1] == "\\le")]


def _read_variable(text: str) -> str | None:
    tree = parse_formula(text)
    return tree.name if tree is not None and tree.kind == "symbol" and list_symbols(tree) else None


def read_variable(text: str) -> str | None:
    """Return of which variable an inequality is; None where the region does not name one."""
    member = _MEMBER.fullmatch(text)
    if member:
        return member[1]
    for side in _SIGNS.split(split_outside(text, _UNION)[0])[::2]:
        name = _read_variable(side)
        if name is not None and name != "\\infty":
            return name
    return None


def is_same_region(answer: tuple[Interval, ...], reference: tuple[Interval, ...]) -> bool:
    """Compare two regions, end by end."""
    return len(answer) == len(reference) and all(
        (one.holds_low, one.holds_high) == (other.holds_low, other.holds_high)
        and bool(is_same_value(one.low, other.low))
        and bool(is_same_value(one.high, other.high))
        for one, other in zip(answer, reference, strict=True)
    )


def read_relation(text: str) -> Relation | None:
    """Read an inequality or an ordering, such as `2x + y < 3` or `A > B > C`; None if the text is none."""
    pieces = _SIGNS.split(text)
    sides, signs = pieces[::2], pieces[1::2]
    if not signs or not all(side.strip() for side in sides):
        return None
    if all(sign in ("<", "\\le", "\\ne") for sign in signs):
        sides, signs = sides[::-1], [_MIRRORED[sign] for sign in signs[::-1]]
    return Relation(tuple(sides), tuple(signs))


def is_same_relation(answer: Relation, reference: Relation) -> bool:
    """Compare two inequalities: the same sides in the same order, or the same difference but for a positive factor."""
    if answer.signs != reference.signs:
        return False
    if [side.replace(" ", "") for side in answer.sides] == [side.replace(" ", "") for side in reference.sides]:
        return True
    if len(reference.signs) != 1:
        return False
    one, other = subtract(*answer.sides), subtract(*reference.sides)
    is_order = "\\ne" not in reference.signs
    return one is not None and other is not None and bool(is_proportional(one, other, positive=is_order))
