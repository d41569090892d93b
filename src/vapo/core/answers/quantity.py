"""Quantities: a number or an expression, in digits or words, with its percent sign and its unit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from vapo.core.answers.formula import Tree, apply, number, parse_formula, symbol
from vapo.core.answers.units import Unit, is_same_dimension, read_unit, split_unit
from vapo.core.answers.values import is_same_value, take_exactly, take_number

UNCOMPUTED = "its value cannot be computed"


@dataclass(frozen=True, slots=True)
class Quantity:
    """A value as an answer states it.

    Attributes:
        tree: the value, without percent sign and unit.
        unit: what it is of; None where that is not said.
        is_percent: whether it is in percent.
        decimals: how many decimals it is written with; None where it is no decimal number.
        digits: how many significant digits.
    """

    tree: Tree
    unit: Unit | None = None
    is_percent: bool = False
    decimals: int | None = None
    digits: int = 0


_ONE_NAMES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
_ONES = _ONE_NAMES.split()
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS = {
    **{word: number for number, word in enumerate(_ONES)},
    **{word: 10 * number for number, word in enumerate(_TENS, start=2)},
}
_ANY_WORD = "|".join(sorted(_WORDS, key=len, reverse=True))
_SPOKEN = re.compile(rf"(?:(minus|negative)\s+)?({_ANY_WORD})(?:(?:\s+|-)({_ANY_WORD}))?(?![A-Za-z])", re.IGNORECASE)
_PART_NAMES = "half:2 halve:2 third:3 quarter:4 fourth:4 fifth:5 sixth:6 eighth:8 tenth:10"
_PARTS = {
    name + ending: int(parts)
    for name, _, parts in (one.partition(":") for one in _PART_NAMES.split())
    for ending in ("", "s")
}
_SHARE = re.compile(rf"(?:(\d+|an?)[\s-]+)?({'|'.join(_PARTS)})(?![A-Za-z])", re.IGNORECASE)
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12, "百": 2, "千": 3, "万": 4, "亿": 8}
_SCALED = re.compile(
    r"(?<=\d)\s*(hundred|thousand|million|billion|trillion|万|亿|百(?!分)|千(?![米克瓦]))s?", re.IGNORECASE
)
_CHINESE = {sign: number for number, sign in enumerate("零一二三四五六七八九十")} | {"两": 2}
_CHINESE_NUMBER = re.compile(
    r"[零一二两三四五六七八九]?十?[一二三四五六七八九]?(?=$|[个只条人次本张颗棵辆支枝块名位种件头匹朵杯瓶])"
)
_CHINESE_SHARE = re.compile(
    r"(百|\d+|[二两三四五六七八九]?十?[一二三四五六七八九]?)分之([\d.]+|[一二三四五六七八九]?十?[一二三四五六七八九]?)"
)
_PERCENT = re.compile(r"\s*(?:%|(?:percent|per\s*cent|pct|percentage)(?:\s+points)?)\s*$", re.IGNORECASE)

_THOUSANDS = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:,\d{3})+(?![\d,])")
_SPACED = re.compile(r"([-+]?)(\d{1,3}(?: \d{3})+)(\.\d+)?")
_MIXED = re.compile(r"([-+]?)\s*(\d+)(?:\s+|\s*(?:and|&)\s*)(\d+)\s*/\s*(\d+)")
_MIXED_FRACTION = re.compile(r"([-+]?)\s*(\d+)\s+and\s+(\\frac.*)")
_DECIMAL = re.compile(r"[-+]?(\d*)(?:\.(\d*))?")


_REMARK = re.compile(r"(.*\d\S*)\s*\(\s*([A-Za-z/^\d ]*[A-Za-z]{2}[A-Za-z/^\d ]*)\s*\)")
_COMPOUND = re.compile(r"(\d+(?:\.\d+)?\s*[A-Za-z\u4e00-\u9fff]+)")
_COMPOUNDS = re.compile(rf"{_COMPOUND.pattern}(?:\s*(?:,|and)?\s*{_COMPOUND.pattern})+")
_MINUTES = re.compile(r"(\d+)°\s*(\d+)'")
_FEET = re.compile(r"(\d+)\s*'\s*(\d+(?:\.\d+)?)\s*(?:\"|'')")
_SIGNED = re.compile(r"(?:negative|minus)\s+(?=[\d.\\])", re.IGNORECASE)
_COMMA = re.compile(r"[-+]?(?:\d+,(?:\d{1,2}|\d{4,})|0,\d+)")


@lru_cache(maxsize=8192)
def read_quantity(text: str) -> Quantity | None:
    """Read a text that `clean` has spelled as one quantity; None if it is none, or several."""
    text = _spell_digits(text)
    remark = _REMARK.fullmatch(text)
    if remark and (read_unit(remark[2]) or not re.search(r"\b(?:not|wrong|incorrect|or)\b", remark[2])):
        quantity = read_quantity(remark[1])
        return quantity if quantity is None or quantity.unit else replace(quantity, unit=read_unit(remark[2]))
    percent = _PERCENT.search(text)
    if percent and percent.start():
        text = text[: percent.start()]
    elif percent:
        return None
    minutes = _MINUTES.fullmatch(text)
    if minutes:
        return Quantity(number(Fraction(minutes[1]) + Fraction(minutes[2]) / 60), read_unit("°"))
    feet = _FEET.fullmatch(text)
    if feet:
        return Quantity(number(Fraction(feet[1]) + Fraction(feet[2]) / 12), read_unit("ft"))
    parts = _COMPOUND.findall(text) if not percent and _COMPOUNDS.fullmatch(text) else []
    if len(parts) > 1:
        return _add_up([split_unit(part) for part in parts])
    before, unit = (text, None) if percent else split_unit(text)
    quantity = _read_value(before, unit, bool(percent))
    if quantity is None and unit is not None:
        quantity = _read_value(text, None, False)
    return quantity


def _read_value(text: str, unit: Unit | None, is_percent: bool) -> Quantity | None:
    text = _spell_number(text.strip())
    tree = parse_formula(text)
    if tree is None:
        return None
    decimal = _DECIMAL.fullmatch(text)
    if decimal is None:
        return Quantity(tree, unit, is_percent)
    digits = (decimal[1] + (decimal[2] or "")).lstrip("0")
    return Quantity(tree, unit, is_percent, len(decimal[2] or ""), len(digits))


def _add_up(parts: Sequence[tuple[str, Unit | None]]) -> Quantity | None:
    """Add up what is said in several units of one kind, such as 3 hours 30 minutes, in the first of them."""
    first = parts[0][1]
    total = Fraction(0)
    factor: Fraction | None = None
    for number_text, unit in parts:
        if first is None or unit is None or unit.is_noun or unit.dimensions != first.dimensions:
            return None
        if factor is not None and unit.factor >= factor:
            return None  # they go down, from hours to minutes
        factor = unit.factor
        total += Fraction(number_text) * factor / first.factor
    return Quantity(number(total), first)


def spell_words(text: str) -> str:
    """Write number words as digits, wherever they stand in a text."""
    return _SPOKEN.sub(_format_number, text)


def _format_number(spoken: re.Match[str]) -> str:
    first = _WORDS[spoken[2].lower()]
    second = _WORDS[spoken[3].lower()] if spoken[3] else 0
    if spoken[3] and not (first >= 20 and 0 < second < 10):
        return spoken[0]
    return ("-" if spoken[1] else "") + str(first + second)


def _spell_digits(text: str) -> str:
    """Write number words, shares and scales at the start of a text as digits."""
    text = _SIGNED.sub("-", text, count=1) if _SIGNED.match(text) else text
    spoken = _SPOKEN.match(text)
    if spoken:
        text = _format_number(spoken) + text[spoken.end() :]
    share = _SHARE.match(text)
    if share and not (
        share[1] is None and share[2].lower() in ("third", "fourth", "fifth", "sixth", "eighth", "tenth")
    ):
        top = share[1] if share[1] and share[1].isdigit() else "1"
        text = f"{top}/{_PARTS[share[2].lower()]}{text[share.end() :]}"
    share = _CHINESE_SHARE.fullmatch(text)
    if share:
        top = _read_chinese(share[2])
        return f"{top}%" if share[1] == "百" else f"{top}/{_read_chinese(share[1])}"
    chinese = _CHINESE_NUMBER.match(text)
    if chinese and chinese[0]:
        text = f"{_count_chinese(chinese[0])}{text[chinese.end() :]}"
    text = re.sub(r"(?<=\d)\s*dozens?\b", r" \\times 12 ", text)
    return _SCALED.sub(lambda scale: f"\\times 10^{{{_SCALES[scale[1].lower()]}}} ", text)


def _read_chinese(signs: str) -> str:
    return signs if signs[:1].isascii() else str(_count_chinese(signs))


def _count_chinese(signs: str) -> int:
    tens, found, ones = signs.partition("十")
    if not found:
        return int("".join(str(_CHINESE[sign]) for sign in signs))
    return 10 * (_CHINESE[tens] if tens else 1) + (_CHINESE[ones] if ones else 0)


def _spell_number(text: str) -> str:
    """Write thousands without separators and mixed numbers as sums."""
    text = _THOUSANDS.sub(lambda number: number[0].replace(",", ""), text)
    spaced = _SPACED.fullmatch(text)
    if spaced:
        return f"{spaced[1]}{spaced[2].replace(' ', '')}{spaced[3] or ''}"
    mixed = _MIXED.fullmatch(text)
    if mixed:
        return f"{mixed[1]}({mixed[2]}+{mixed[3]}/{mixed[4]})"
    return _MIXED_FRACTION.sub(r"\1(\2+\3)", text)


def read_decimal_comma(text: str) -> Quantity | None:
    """Read a number whose decimals stand behind a comma, which elsewhere is a list of two; None if it is none."""
    before, unit = split_unit(text)
    return _read_value(before.strip().replace(",", "."), unit, False) if _COMMA.fullmatch(before.strip()) else None


def is_same_quantity(answer: Quantity, reference: Quantity) -> tuple[bool | None, str]:
    """Compare two quantities.

    A unit is dropped where the other has none. "28" is 28 %, 0.28 is, and 28 % is 0.28 where the reference is no
    percentage. A decimal number of six or more digits stands for a value that no decimal number is.

    Returns:
        Whether they are the same, None if that cannot be computed; and why not.
    """
    if answer.unit and reference.unit:
        angles = {answer.unit.dimensions, reference.unit.dimensions} == {(("°", 1),), (("rad", 1),)}
        if not angles and not is_same_dimension(answer.unit, reference.unit):
            return False, "the units measure different things"
    elif (answer.is_percent and reference.unit) or (reference.is_percent and answer.unit):
        return False, "one is a percentage, the other has a unit"
    elif reference.unit and reference.unit.is_letter:
        return False, "the reference ends in a letter that may be a variable"
    one, other = _take_radians(answer, reference), _take_radians(reference, answer)
    if answer.unit and reference.unit and not (answer.unit.is_generic or reference.unit.is_generic):
        ratio = answer.unit.factor / reference.unit.factor
        one = one if ratio == 1 else apply("mul", one, number(ratio))
    same = is_same_value(one, other)
    if same is False:
        same = _is_rounded(answer, reference)
    if not same and answer.is_percent != reference.is_percent:
        hundredth = number(Fraction(1, 100))
        one, other = (
            apply("mul", tree, hundredth) if is_percent else tree
            for tree, is_percent in ((one, answer.is_percent), (other, reference.is_percent))
        )
        same = is_same_value(one, other)
    return same, "" if same else "the values differ" if same is False else UNCOMPUTED


def _take_radians(one: Quantity, other: Quantity) -> Tree:
    """Return the value of an angle in degrees in radians, where the other is written as a multiple of pi."""
    is_in_degrees = one.unit is not None and one.unit.dimensions == (("°", 1),)
    if is_in_degrees and (other.unit is None or other.unit.dimensions == (("rad", 1),)) and _holds_pi(other.tree):
        return apply("div", apply("mul", one.tree, symbol("\\pi")), number(180))
    return one.tree


def _holds_pi(tree: Tree) -> bool:
    return tree == symbol("\\pi") or any(map(_holds_pi, tree.parts))


def _is_rounded(answer: Quantity, reference: Quantity) -> bool:
    for decimal, exact in ((answer, reference), (reference, answer)):
        if decimal.decimals and decimal.digits >= 6 and exact.decimals is None:
            value = take_exactly(decimal.tree)
            whole = take_exactly(exact.tree)
            if value is None or (whole is not None and _is_decimal(whole)):
                return False
            step = Fraction(1, 10**decimal.decimals)
            low, high = (number(value - step), number(value + step))
            return bool(is_between(exact.tree, low, high))
    return False


def _is_decimal(value: Fraction) -> bool:
    bottom = value.denominator
    for factor in (2, 5):
        while bottom % factor == 0:
            bottom //= factor
    return bottom == 1


def is_between(tree: Tree, low: Tree, high: Tree) -> bool | None:
    """Tell whether a value without symbols lies strictly between two others; None if that cannot be computed."""
    values = [take_number(one) for one in (low, tree, high)]
    if any(value is None for value in values):
        return None
    return values[0] < values[1] < values[2]
