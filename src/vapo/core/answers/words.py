"""Words: names, phrases, dates and times, compared as what they say, never multiplied out."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from vapo.core.answers.quantity import spell_words

_ARTICLES = re.compile(r"\b(?:the|an?)\s+(?=\S)")
_COPULA = re.compile(r"^(?:it(?:'s| is)|they(?:'re| are)|there (?:is|are)|this is|that is|these are)\s+(?=\S)")
_SPELLINGS = {
    "grey": "gray", "centre": "center", "metre": "meter", "litre": "liter", "theatre": "theater", "fibre": "fiber",
    "aluminium": "aluminum", "tyre": "tire", "cheque": "check", "programme": "program", "plough": "plow",
    "colour": "color", "favour": "favor", "flavour": "flavor", "harbour": "harbor", "honour": "honor",
    "humour": "humor", "labour": "labor", "neighbour": "neighbor", "odour": "odor", "rumour": "rumor",
    "vapour": "vapor", "behaviour": "behavior", "armour": "armor", "parlour": "parlor", "vigour": "vigor",
    "defence": "defense", "offence": "offense", "licence": "license", "catalogue": "catalog", "dialogue": "dialog",
    "analyse": "analyze", "paralyse": "paralyze", "travelling": "traveling", "traveller": "traveler",
    "jewellery": "jewelry", "pyjamas": "pajamas", "mould": "mold", "moustache": "mustache", "doughnut": "donut",
    "storey": "story", "sulphur": "sulfur", "maths": "math", "ok": "okay", "t-shirt": "t shirt", "tshirt": "t shirt",
    "cancelled": "canceled", "skilful": "skillful", "kilometre": "kilometer", "centimetre": "centimeter",
    "cant": "cannot", "mt": "mount", "dr": "doctor",
}  # fmt: skip
_ORDINALS = dict(
    zip(
        ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"],
        ["1st", "2nd", "3rd", "4th", "5th", "6th", "7th", "8th", "9th", "10th"],
        strict=True,
    )
)


@lru_cache(maxsize=8192)
def spell_key(text: str) -> str:
    """Spell what a text says: without case, articles, hyphens, punctuation and accents; numbers in digits."""
    text = _compose(text.casefold()).replace("’", "'")
    text = re.sub(r"\\(?:quad|to)(?![A-Za-z])", " ", text)
    text = re.sub(r"\\([a-z]+)", r" \1 ", text)
    text = re.sub(r"[_{}$\\^]", "", text)
    text = _COPULA.sub("", text)
    text = re.sub(r"(?<=\w)\.(?=\w\.)|(?<=\b\w)\.(?=\w\b)(?<!\d\.)", "", text)  # U.S.A. and Ph.D. lose their periods
    text = re.sub(
        r"(?<!\d)[.]|[.](?!\d)|[,;:!?'\"()\[\]、，；：！？]", lambda sign: "" if sign[0] in ".'" else " ", text
    )
    text = re.sub(r"(?<=\w)[-/](?=[^\W\d])|(?<=[^\W\d])-(?=\w)", " ", text)
    text = text.replace("&", " and ")
    text = _ARTICLES.sub("", spell_words(text))
    words = [_ORDINALS.get(word, _SPELLINGS.get(word, word)) for word in text.split()]
    words = [re.sub(r"(?<=[a-z]{3})is(?=e[ds]?$|ing$|ation$)", "iz", word) for word in words]
    key = " ".join(words)
    return re.sub(r"(?<=[\u4e00-\u9fff])[的。]$", "", key)


def _compose(text: str) -> str:
    """Drop the accents of Latin letters; other scripts' marks make other letters."""
    kept: list[str] = []
    for sign in unicodedata.normalize("NFD", text):
        if unicodedata.combining(sign) and kept and kept[-1].isascii():
            continue
        kept.append(sign)
    return unicodedata.normalize("NFC", "".join(kept))


def is_text(text: str) -> bool:
    """Tell whether a text has words: two letters beside each other, or a sign of another script."""
    return bool(
        re.search(r"(?<![\\A-Za-z])[A-Za-z]*[A-Za-z]\.?[A-Za-z]|[A-Za-z]\d|\d(?:_\w|[A-Za-z])|[^\x00-\x7f°]", text)
    )


_CLOCK = re.compile(
    r"(\d{1,2})(?::(\d{2})(?::(\d{2}))?)?\s*(?:([ap])\.?\s*m\.?|(o'?clock|点|时|hours))?", re.IGNORECASE
)


def read_time(text: str) -> tuple[int, bool] | None:
    """Read a time of day.

    Returns:
        Seconds from midnight, and whether the half of the day is certain; None if the text is no time.
    """
    if text.casefold() in ("noon", "midnight"):
        return (12 * 3600 if text.casefold() == "noon" else 0), True
    text = re.sub(r"点(\d{1,2})分?", r":\1", text.replace("点半", ":30"))
    clock = _CLOCK.fullmatch(text.strip())
    if clock is None or (clock[2] is None and clock[4] is None and (clock[5] or "hours") == "hours"):
        return None
    hour, minute, second = int(clock[1]), int(clock[2] or 0), int(clock[3] or 0)
    if hour > 24 or minute > 59 or second > 59 or (clock[4] and hour > 12):
        return None
    if clock[4]:
        hour = hour % 12 + 12 * (clock[4].lower() == "p")
    return hour * 3600 + minute * 60 + second, bool(clock[4]) or hour > 12


def is_same_time(answer: tuple[int, bool], reference: tuple[int, bool]) -> bool:
    """Compare two times; where one does not say which half of the day, the other may."""
    if answer[1] and reference[1]:
        return answer[0] == reference[0]
    if not answer[1] and not reference[1]:
        return answer[0] == reference[0]
    return answer[0] % 43200 == reference[0] % 43200


_MONTH_NAMES = "january february march april may june july august september october november december"
_MONTHS = _MONTH_NAMES.split()
_MONTH = "|".join(f"{name[:3]}(?:{name[3:]}|t)?" if name[3:] else name for name in _MONTHS)
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?:\s*,?\s+(?P<year>\d{4}))?"
_DATES = [
    re.compile(rf"(?P<month>{_MONTH})\.?\s+{_DAY}{_YEAR}", re.IGNORECASE),
    re.compile(rf"(?:the\s+)?{_DAY}\s+(?:of\s+)?(?P<month>{_MONTH})\.?{_YEAR}", re.IGNORECASE),
    re.compile(rf"(?P<month>{_MONTH})\.?\s*,?\s+(?P<day>)(?P<year>\d{{4}})", re.IGNORECASE),
    re.compile(r"(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})"),
    re.compile(r"(?P<year>\d{4})年(?P<month>\d{1,2})月(?:(?P<day>\d{1,2})日)?"),
]


def read_date(text: str) -> tuple[int, int, int] | None:
    """Read a date as (year, month, day), 0 for what is not said; None if the text is none."""
    for form in _DATES:
        found = form.fullmatch(text.strip())
        if found:
            month = found["month"]
            number = int(month) if month.isdigit() else 1 + [name[:3] for name in _MONTHS].index(month[:3].lower())
            return int(found["year"] or 0), number, int(found["day"] or 0)
    return None


_SPAN = re.compile(r"\d+(?:\.\d+)?(?:\s*:\s*\d+(?:\.\d+)?)+|\d+(?:\.\d+)?(?:\s*-\s*\d+(?:\.\d+)?)+|\d+/\d+/\d+")
_TO = re.compile(r"(?:from\s+|between\s+)?(\d+(?:\.\d+)?)\s+(?:to|and|until)\s+(\d+(?:\.\d+)?)", re.IGNORECASE)


def read_span(text: str) -> tuple[str, tuple[str, ...]] | None:
    """Read a ratio, a range, a score or a date in digits.

    Returns:
        The sign between the numbers, and the numbers without leading zeros; None if the text is none of them.
    """
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        return None
    sign = next(sign for sign in ":-/" if sign in text)
    numbers = (number.strip().lstrip("0") or "0" for number in text.split(sign))
    return sign, tuple(number.rstrip("0").rstrip(".") if "." in number else number for number in numbers)


def read_said_span(text: str) -> tuple[str, str] | None:
    """Read "2 to 5" or "from 2 to 5", which stands for a range or a ratio; None if the text is neither."""
    found = _TO.fullmatch(text.strip())
    if found is None or (" and " in text and not text.lower().startswith("between")):
        return None
    return found[1], found[2]


_NAMED = re.compile(
    r"\\?angle\s*\{?\s*([A-Z])\s*([A-Z])\s*([A-Z])\s*\}?"
    r"|\\?(?:overline|segment|line segment)\s*\{?\s*([A-Z])([A-Z])\s*\}?"
)


def read_figure(text: str) -> str | None:
    """Read an angle or a segment by its points: the same from either end; None if the text is none."""
    found = _NAMED.fullmatch(text.replace("m\\angle", "\\angle").strip())
    if found is None:
        return None
    points = "".join(point for point in found.groups() if point)
    return min(points, points[::-1])
