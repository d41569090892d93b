"""A claim as the words that carry it, so that two ways of writing the same thing can be told to be one."""

from __future__ import annotations

import re
from functools import lru_cache

_WORD = re.compile(r"\w+(?:[.,:/]\d+)*")
_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”|«[^»]*»|(?<!\w)'[^']*'(?!\w)")
_MARK = re.compile(r"[\"“«']")
_NEGATION = re.compile(r"\b(?:not|never|no|none|nothing|nobody|without|lacks?|cannot)\b|n['’]t\b", re.IGNORECASE)
_EMPTY_WORDS = """a an the this that these those is are was were be been being am do does did has have had there here
it its it's of very just"""
_EMPTY = frozenset(_EMPTY_WORDS.split())
_NUMBER_WORDS = "zero one two three four five six seven eight nine ten eleven twelve"
_NUMBERS = {word: str(number) for number, word in enumerate(_NUMBER_WORDS.split())}


def without_quotations(text: str) -> str:
    """Return a text without what it quotes, such as an inscription, which may be in any language and wording."""
    return _QUOTED.sub(" ", text) if _MARK.search(text) else text


def list_words(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return _WORD.findall(text.lower())


@lru_cache(maxsize=4096)
def reduce_words(text: str) -> tuple[str, ...]:
    """Return the words that carry a claim, in order: without articles and forms of be, have and do, without endings.

    "A cat is sitting on the mat." and "The cat sits on a mat" are both (cat, sit, on, mat). Numbers become figures.
    """
    return tuple(_reduce(word) for word in list_words(text) if word not in _EMPTY)


@lru_cache(maxsize=4096)
def is_negated(text: str) -> bool:
    """Return whether a claim says that something is not so."""
    return _NEGATION.search(without_quotations(text)) is not None


@lru_cache(maxsize=4096)
def affirm(text: str) -> tuple[str, ...]:
    """Return the words that carry a claim, as `reduce_words` does, without those that negate it."""
    return reduce_words(_NEGATION.sub(" ", text))


def find_figures(text: str) -> frozenset[str]:
    """Return the numbers, and the names of single capitals or with figures in them, that a claim is exact about."""
    found = {_NUMBERS.get(word, word) for word in list_words(text) if word in _NUMBERS or any(map(str.isdigit, word))}
    return frozenset(found | set(re.findall(r"\b[A-Z]{1,3}\b", text)) - {"A", "I"})


def _reduce(word: str) -> str:
    if word in _NUMBERS:
        return _NUMBERS[word]
    for ending in ("ing", "ed", "es", "s"):
        stem = word.removesuffix(ending)
        if stem != word and len(stem) >= 3 and not stem.endswith("s"):
            # "sitting" and "sits" share "sit"; "placed" and "places" share "plac".
            return stem[:-1] if len(stem) > 3 and stem[-1] == stem[-2] else stem.removesuffix("e")
    return word.removesuffix("e") if len(word) > 3 else word
