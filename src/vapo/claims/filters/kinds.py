"""What a claim is about, as far as its wording tells. Only English is known; elsewhere everything is "other"."""

from __future__ import annotations

import re
from typing import Literal, get_args

from vapo.claims.filters.words import without_quotations

Kind = Literal["colour", "counting", "inscription", "place", "comparison", "other"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_COLOUR = (
    r"(?:red|orange|yellow|green|blue|purple|violet|pink|brown|black|white|gr[ae]y|beige|golden|gold|silver|turquoise"
    r"|teal|cyan|magenta|maroon|navy|tan|cream|multicolou?red|colou?rful)"
)
_SHADE = r"(?:(?:very|mostly|entirely|all|light|dark|bright|pale|deep|solid)[ -])*"
_COLOUR_LIST = rf"{_SHADE}{_COLOUR}(?:(?:,| and|, and| or) {_SHADE}{_COLOUR})*"
_PLAIN_COLOUR = re.compile(
    rf"\b(?:is|are|looks?|has|have)(?: an?)? {_COLOUR_LIST}(?: in colou?r| colou?r)?\s*[.!]?$", re.IGNORECASE
)
_NUMBER = r"(?:\d+|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|a dozen|several)"
_COUNT = re.compile(
    rf"\b(?:exactly|precisely|only|a total of) (?:{_NUMBER}|one)\b|\bnumber of\b|\bthere (?:is|are) {_NUMBER}\b"
    rf"|^{_NUMBER} \w+|\b(?:has|have|shows?|contains?|holds?|wears?) {_NUMBER} \w+s\b",
    re.IGNORECASE,
)
_INSCRIPTION = re.compile(
    r"\b(?:reads?|says?|word|letters?|text|label(?:l?ed)?|written|inscription|spells)\b", re.IGNORECASE
)
_COMPARISON = re.compile(
    r"\b\w+er than\b|\b(?:more|less|fewer) \w* ?than\b|\b(?:tallest|largest|smallest|longest)\b", re.IGNORECASE
)
_PLACE = re.compile(
    r"\b(?:left|right|above|below|behind|beside|between|under|underneath|top|bottom|cent(?:re|er)|middle|corner"
    r"|in front of|next to|on top of|inside|near|foreground|background|row|column)\b",
    re.IGNORECASE,
)


def find_kind(text: str) -> Kind:
    """Return the first kind, in this order, whose wording a claim has: counting, plain colour, inscription,
    comparison, place, other."""
    plain = without_quotations(text)
    if _COUNT.search(plain):
        return "counting"
    if _PLAIN_COLOUR.search(plain):
        return "colour"
    if _INSCRIPTION.search(plain) or plain != text:
        return "inscription"
    if _COMPARISON.search(plain):
        return "comparison"
    return "place" if _PLACE.search(plain) else "other"
