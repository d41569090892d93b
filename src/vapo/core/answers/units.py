"""Units: the tail of an answer that says of what it is a number."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

Dimensions = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """What is counted or measured.

    Attributes:
        dimensions: base units with their exponents; of things that are counted, their name with exponent 1.
        factor: how many of those base units it is.
        is_noun: whether it is only the name of things.
        is_letter: whether it is one letter straight behind a digit, so that it may as well be a variable.
    """

    dimensions: Dimensions
    factor: Fraction = Fraction(1)
    is_noun: bool = False
    is_letter: bool = False

    @property
    def is_generic(self) -> bool:
        """Whether it only says "units", of whatever kind."""
        return self.dimensions in ((("unit", 1),), (("unit", 2),), (("unit", 3),))


def is_same_dimension(one: Unit, other: Unit) -> bool:
    """Tell whether two units measure the same, in amounts that can be converted."""
    if one.is_generic or other.is_generic:
        return True
    degrees = {(("°", 1),), (("°C", 1),), (("°F", 1),)}
    if {one.dimensions, other.dimensions} <= degrees and (("°", 1),) in (one.dimensions, other.dimensions):
        return True  # "30 degrees" of a temperature
    return one.dimensions == other.dimensions


# name(s): base units with exponents, factor. With SI prefixes where a "~" stands before.
_TABLE = """
~m metre meter: m 1|inch in inches: m 0.0254|ft foot feet: m 0.3048|yd yard: m 0.9144|mi mile: m 1609.344
~g gram gramme: g 1|lb lbs pound: g 453.59237|oz ounce: g 28.349523125|t ton tonne: g 1000000
~s sec second: s 1|min mins minute: s 60|h hr hrs hour: s 3600|day: s 86400|week wk: s 604800
month: month 1|year yr yrs: month 12|decade: month 120|century centuries: month 1200
° deg degree: ° 1|°C celsius centigrade: °C 1|°F fahrenheit: °F 1|~K kelvin: K 1|rad radian: rad 1
~L l litre liter: m3 0.001|gal gallon: m3 0.003785411784|ha hectare: m2 10000|acre: m2 4046.8564224
~N newton: g,m,s-2 1000|~J joule: g,m2,s-2 1000|~W watt: g,m2,s-3 1000|~Pa pascal: g,m-1,s-2 1000
~cal calorie: g,m2,s-2 4184|~Wh: g,m2,s-2 3600000|~eV: eV 1|atm: atm 1|bar: g,m-1,s-2 100000000
~V volt: V 1|~A amp ampere: A 1|\\Omega ohm: ohm 1|~C coulomb: C 1|~F farad: F 1|~T tesla: T 1|~H henry: H 1
~Hz hertz: s-1 1|~mol mole: mol 1|~M: M 1|dB decibel: dB 1|~bit: bit 1|~B byte: bit 8|~lm lumen: lm 1
mph: m,s-1 0.44704|kph kmh: m,s-1 5/18|rpm: rev,min-1 1|px pixel: px 1|~cd candela: cd 1|~u: u 1
USD dollar buck: USD 1|cent: USD 0.01|EUR euro: EUR 1|GBP: GBP 1|CNY RMB yuan 元 块钱 人民币: CNY 1|JPY yen: JPY 1
INR rupee Rs: INR 1|KRW won: KRW 1|RUB rouble ruble: RUB 1
unit: unit 1
厘米 公分: m 0.01|毫米: m 0.001|分米: m 0.1|千米 公里: m 1000|米: m 1|微米: m 0.000001|纳米: m 0.000000001
克: g 1|千克 公斤: g 1000|毫克: g 0.001|吨: g 1000000|斤: g 500|秒 秒钟: s 1|分钟: s 60|小时: s 3600|天 日: s 86400
周: s 604800|个月 月: month 1|年: month 12|升: m3 0.001|毫升: m3 0.000001|度: ° 1|摄氏度: °C 1|牛 牛顿: g,m,s-2 1000
角: CNY 0.1|分: min-or-cent 1|欧姆: ohm 1|伏 伏特: V 1|安 安培: A 1|瓦 瓦特: g,m2,s-3 1000|焦 焦耳: g,m2,s-2 1000
"""
_PREFIXES = {
    **{
        "k": 3,
        "c": -2,
        "d": -1,
        "m": -3,
        "\\mu ": -6,
        "\\mu": -6,
        "u": -6,
        "n": -9,
        "p": -12,
        "M": 6,
        "G": 9,
        "T": 12,
    },
    **{"kilo": 3, "centi": -2, "deci": -1, "milli": -3, "micro": -6, "nano": -9, "mega": 6, "giga": 9, "tera": 12},
}
_GLUED = set("msghLNJWVlAKCF")  # of one letter, written straight behind digits, where other letters are variables
_ALONE = _GLUED | set("THM")
_COUNTERS = set("个只条人次本张颗棵辆支枝块名位种件头匹朵杯瓶根片双对组道层座台把艘架岁倍步")
_NO_NOUN_NAMES = (
    "and or not nor to than more less fewer of is are was were be been if then when while with without out plus "
    "minus by from at least most over under half either neither but only also between about equals equal divided "
    "million thousand billion trillion hundred dozen percent percentage pct per wrong correct right incorrect "
    "true false no yes sin cos tan log exp left except because since for the choice option answer pi infinity "
    "infty sqrt frac cdot times squared cubed other others instead maybe probably possible impossible unknown any "
    "all none"
)
_NO_NOUNS = frozenset(_NO_NOUN_NAMES.split())


def _read_table() -> dict[str, Unit]:
    units: dict[str, Unit] = {}
    for entry in _TABLE.replace("\n", "|").split("|"):
        if not entry:
            continue
        names, _, meaning = entry.partition(":")
        bases, factor = meaning.split()
        dimensions = tuple(sorted(_read_base(base) for base in bases.split(",")))
        with_prefixes = names.startswith("~")
        for name in names.lstrip("~").split():
            units[name] = Unit(dimensions, Fraction(factor))
            if len(name) > 3 and name.isascii() and name.isalpha():
                units[name + "s"] = units[name]
            if with_prefixes:
                is_word = len(name) > 3
                for prefix, exponent in _PREFIXES.items():
                    if (len(prefix.strip()) > 3) == is_word or (prefix == "mega" and is_word):
                        unit = Unit(dimensions, Fraction(factor) * Fraction(10) ** exponent)
                        units.setdefault(prefix + name, unit)
                        if is_word:
                            units.setdefault(prefix + name + "s", unit)
    for name in ("units", "days", "bars", "yds", "ohms", "miles", "amps", "cents", "weeks", "moles"):
        units[name] = units[name[:-1]]
    return units


def _read_base(base: str) -> tuple[str, int]:
    found = re.fullmatch(r"(.*?)(-?\d)?", base)
    assert found is not None
    return found[1], int(found[2] or 1)


_UNITS = _read_table()
_WORDY = {name.casefold(): unit for name, unit in _UNITS.items() if len(name) > 2 and name.isascii()}

_EXPONENT = r"(?:\s*\^\s*\{?\s*(?P<power>-?\d)\s*\}?|(?P<digit>(?<=[A-Za-z])[23](?!\d))|\s+(?P<said>squared|cubed))?"
_FACTOR = re.compile(
    r"\s*(?P<area>(?:sq(?:uare)?|cubic|cu)\.?\s+)?(?P<name>(?:\\mu\s*|\\Omega|k\\Omega|M\\Omega|[A-Za-z]+\.?|°\s*[CF]?(?![A-Za-z])"
    r"|(?:平方|立方)?[\u4e00-\u9fff]+))" + _EXPONENT + r"(?P<link>\s*(?:/|per\b|\\cdot|\*|每)|\s*)"
)


@lru_cache(maxsize=4096)
def read_unit(text: str) -> Unit | None:
    """Read a unit, such as `cm^2`, `m/s^2`, `square metres`, `平方厘米`; None if the text is none."""
    dimensions: dict[str, int] = {}
    amount = Fraction(1)
    place, sign = 0, 1
    text = text.strip().replace("\\mu ", "\\mu").replace("/ ", "/")
    if text.startswith("/"):
        return None
    while place < len(text):
        factor = _FACTOR.match(text, place)
        if factor is None or factor.end() == place:
            return None
        name, power = factor["name"].replace(" ", "").rstrip("."), 1
        if name.startswith(("平方", "立方")) and len(name) > 2:
            power = 2 if name[0] == "平" else 3
            name = name[2:]
        if name == "\\mu":  # a prefix whose unit is the next token
            following = _FACTOR.match(text, factor.end())
            if following is None:
                return None
            factor, name = following, "\\mu" + following["name"]
        unit = _find_unit(name)
        if unit is None:
            return None
        if factor["area"]:
            power = 2 if factor["area"].startswith("sq") else 3
        if factor["said"]:
            power = 2 if factor["said"] == "squared" else 3
        power *= int(factor["power"] or factor["digit"] or 1) * sign
        for base, exponent in unit.dimensions:
            dimensions[base] = dimensions.get(base, 0) + exponent * power
        amount *= unit.factor**power
        place = factor.end()
        link = factor["link"].strip()
        if link and place >= len(text):
            return None
        if link in ("/", "per", "每"):
            sign = -1
    kept = tuple(sorted((base, exponent) for base, exponent in dimensions.items() if exponent))
    return Unit(kept, amount) if kept else None


def _find_unit(name: str) -> Unit | None:
    if name in ("k\\Omega", "M\\Omega"):
        return Unit(_UNITS["\\Omega"].dimensions, Fraction(1000 if name[0] == "k" else 1_000_000))
    return _UNITS.get(name) or _WORDY.get(name.casefold())


_START = re.compile(r"(?<![A-Za-z\\\u4e00-\u9fff])(?:\\mu|\\Omega|[A-Za-z°\u4e00-\u9fff])")
_NOUN = re.compile(r"[A-Za-z][A-Za-z'-]{2,}(?:\s+[A-Za-z][A-Za-z'-]{2,}){0,2}")
_CURRENCY_FIRST = re.compile(r"(-?)\s*(USD|EUR|GBP|CNY|INR|KRW|RUB|JPY|US\s*USD|Rs\.?)\s*(-?)\s*(?=[\d.\\])")
_ANGLES = re.compile(r"\\?(?:sin|cos|tan|cot|sec|csc)(?![A-Za-z])")


def split_unit(text: str) -> tuple[str, Unit | None]:
    """Split the unit off an answer that `clean` has spelled.

    Returns:
        What stands before the unit, and the unit; the whole and None where there is no unit.
    """
    currency = _CURRENCY_FIRST.match(text)
    if currency:
        name = "INR" if currency[2].startswith("Rs") else currency[2].split()[-1]
        rest, more = split_unit(text[currency.end() :])
        return f"{currency[1] or currency[3]}{rest}", more if more and more != _UNITS[name] else _UNITS[name]
    marked = re.fullmatch(r"(-?[\d./ ]*\d)\s*(\"|'{1,2})", text)
    if marked:
        return marked[1], _UNITS["ft" if marked[2] == "'" else "in"]
    for start in _START.finditer(text):
        before, tail = text[: start.start()], text[start.start() :]
        if not _ends_a_value(before):
            continue
        if tail[0] == "°" and _ANGLES.search(before):
            continue
        if before[-1:].isalnum() and len(tail) == 1 and tail.isascii() and tail not in _GLUED:
            continue
        if len(tail) == 1 and tail.isascii() and tail.isalpha() and tail not in _ALONE | {"t"}:
            continue
        if tail == "s" and re.search(r"\d{3}0$", before):
            continue  # a decade
        unit = read_unit(tail)
        if unit is not None:
            if len(tail) == 1 and tail.isalpha() and tail.isascii() and before[-1:].isdigit():
                unit = replace(unit, is_letter=True)
            return before.rstrip().removesuffix("\\cdot").removesuffix("\\times").rstrip(), unit
        noun = _read_noun(before, tail)
        if noun is not None:
            return before.strip(), noun
    return text, None


def _ends_a_value(before: str) -> bool:
    before = before.rstrip()
    return bool(before) and (
        before[-1] in "0123456789.})]" or before.endswith(("\\pi", "\\cdot")) or before[-1] == "x"
    )


def _read_noun(before: str, tail: str) -> Unit | None:
    """Read the name of things that are counted, behind a plain number."""
    if not re.fullmatch(r"-?(?:[\d.,/ ]*\d)?\s*(?:\\frac\s*\{?\d+\}?\s*\{?\d+\}?)?", before.strip()):
        return None
    if tail[0] in _COUNTERS or "\u4e00" <= tail[0] <= "\u9fff":
        name = tail.strip()
        if not re.fullmatch(r"[\u4e00-\u9fff]{1,6}", name) or any(sign in name for sign in "或和与至到不以约点多分之"):
            return None
        things = name[1:] if name[0] in _COUNTERS else name
        return Unit(((things or "个", 1),), is_noun=True)
    if before[-1:].isdigit() or not _NOUN.fullmatch(tail.strip()):
        return None
    words = tail.casefold().split()
    if any(word in _NO_NOUNS or word.endswith("n't") for word in words):
        return None
    return Unit(((" ".join(_singular(word) for word in words), 1),), is_noun=True)


def _singular(word: str) -> str:
    for ending, instead in (("ies", "y"), ("ches", "ch"), ("shes", "sh"), ("xes", "x"), ("sses", "ss"), ("ss", "ss")):
        if word.endswith(ending):
            return word[: -len(ending)] + instead
    return word.removesuffix("s")
