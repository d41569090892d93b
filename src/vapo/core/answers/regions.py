r"""Regions of the number line: intervals, unions of them, and the inequalities that name them."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import Any

from vapo.core.answers.formula import INFINITY, Tree, apply, list_symbols, number, parse_formula
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


_BOTH = re.compile(r"\s*(?:(?<![A-Za-z])and(?![A-Za-z])|且|\\cap(?![A-Za-z]))\s*")
_UNION = re.compile(r"\s*(?:\\cup|\bU\b|\bor\b|或)\s*")
_BRACKETS = re.compile(r"([(\[\]])(.*)([)\]\[])", re.DOTALL)
_MEMBER = re.compile(r"\s*([A-Za-z]|\\[a-z]+)\s*\\in(?![a-z])\s*(.*)", re.DOTALL)
_SET = re.compile(r"(?:\\\{)?\s*[A-Za-z]\s*(?:\\in\s*\\mathbb\{R\}\s*)?(?:\\mid|:|\|)\s*(.*?)(?:\\\})?", re.DOTALL)
_SIGNS = re.compile(r"\s*(\\le(?![a-z])|\\ge(?![a-z])|\\ne(?![a-z])|<|>)\s*")
_MIRRORED = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le", "\\ne": "\\ne"}
_EVERYTHING = re.compile(
    r"(?:\\mathbb\s*\{\s*R\s*\}|(?:all\s+)?real\s+numbers|all\s+reals?)"
    r"(?P<but>\s*(?:\\setminus|\\backslash|-|except(?:\s+for)?)\s*(?:\\\{)?\s*(?P<points>[^{}\\]+|.*?)\s*(?:\\\})?)?",
    re.IGNORECASE,
)


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
    everything = _EVERYTHING.fullmatch(text.strip())
    if everything:
        points = [_read_end(point) for point in re.split(r"\s*,\s*|\s+and\s+", everything["points"] or "") if point]
        left = [one for one in points if one is not None and take_number(one) is not None]
        return tuple(_leave_out(left)) if len(left) == len(points) and (left or not everything["but"]) else None
    parts = split_outside(text, _UNION)
    intervals: list[Interval] = []
    for part in parts:
        found = _read_both(part) or _read_brackets(part, of_brackets or len(parts) > 1)
        if found is None:
            return None
        intervals += found
    return tuple(sorted(intervals, key=_start))


def _leave_out(points: list[Tree]) -> list[Interval]:
    """Return the number line without some points."""
    ends = [_MINUS_INFINITY, *sorted(points, key=take_number), INFINITY]
    return [Interval(low, high, False, False) for low, high in itertools.pairwise(ends)]


def _read_both(text: str) -> list[Interval] | None:
    """Read inequalities of one variable that hold together; None where no number fulfils them."""
    parts = split_outside(text, _BOTH)
    regions = [_read_inequality(part) for part in parts]
    if len(parts) > 1 and len({read_variable(part) for part in parts}) > 1:
        return None
    held = regions[0]
    for region in regions[1:]:
        if held is None or region is None:
            return None
        held = [both for one in held for other in region if (both := _intersect(one, other))]
    return held or None


def _intersect(one: Interval, other: Interval) -> Interval | None:
    if None in map(take_number, (one.low, one.high, other.low, other.high)):
        return None
    low = max((one.low, not one.holds_low), (other.low, not other.holds_low), key=_place_end)
    high = min((one.high, one.holds_high), (other.high, other.holds_high), key=_place_end)
    least, greatest = take_number(low[0]), take_number(high[0])
    if least > greatest or (least == greatest and (low[1] or not high[1])):
        return None
    return Interval(low[0], high[0], not low[1], high[1])


def _place_end(end: tuple[Tree, bool]) -> tuple[Any, bool]:
    return take_number(end[0]), end[1]


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
        if _read_distance(sides[0]) is not None:
            return _read_between(sides[0], signs[0], sides[1])
        if _read_variable(sides[0]) is None:
            sides, signs = sides[::-1], [_MIRRORED[signs[0]]]
        end = _read_end(sides[1])
        if _read_variable(sides[0]) is None or end is None:
            return None
        if signs[0] == "\\ne":
            return _leave_out([end])
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


def _read_distance(text: str) -> tuple[str, Tree] | None:
    """Read `|x - c|`: the variable and c; None if the text is none."""
    tree = parse_formula(text)
    inner = tree.parts[0] if tree is not None and tree.kind == "abs" else None
    if inner is not None and inner.kind == "symbol" and list_symbols(inner):
        return inner.name, number(0)
    if inner is None or inner.kind != "add" or inner.parts[0].kind != "symbol" or list_symbols(inner.parts[1]):
        return None
    return inner.parts[0].name, apply("neg", inner.parts[1])


def _read_between(text: str, sign: str, limit: str) -> list[Interval] | None:
    """Read `|x - c| < a` and the like, with a positive a."""
    found, end = _read_distance(text), _read_end(limit)
    if found is None or end is None or sign == "\\ne" or not (take_number(end) or 0) > 0 or end == INFINITY:
        return None
    low, high = apply("add", found[1], apply("neg", end)), apply("add", found[1], end)
    holds = sign in ("\\le", "\\ge")
    if sign in ("<", "\\le"):
        return [Interval(low, high, holds, holds)]
    return [Interval(_MINUS_INFINITY, low, False, holds), Interval(high, INFINITY, holds, False)]


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
        distance = _read_distance(side)
        if distance is not None:
            return distance[0]
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
