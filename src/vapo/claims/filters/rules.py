"""Why a claim cannot be used, judged by its own words: one small function for each reason.

Each takes the claim's text and the settings, and returns whether to reject it. The reasons that need the image's other
claims are in `vapo.claims.filters.claim_filter`. All follow arXiv 2509.25848; the rules are ours. They err on the side
of rejecting: what is rejected is asked for again, and a bad claim that is kept is trained on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from vapo.claims.filters.languages import SCRIPTS, is_in_language
from vapo.claims.filters.special_tokens import find_special_token
from vapo.claims.filters.words import without_quotations
from vapo.errors import ConfigError

HEDGES = (
    "maybe", "perhaps", "possibly", "probably", "likely", "unlikely", "presumably", "apparently", "seemingly",
    "seems?", "appears? to", "appears? as", "looks? like", "looks? as", "might", "could", "may be", "may have",
    "suggest(?:s|ing)?", "impl(?:y|ies|ying)", "roughly", "approximately", "somewhat", "some kind of",
    "some sort of", "sort of", "kind of", "possible", "potentially", "unclear", "hard to (?:say|tell|see)", "as if",
)  # fmt: skip
"""Regular expressions of words that leave a claim open."""


@dataclass(frozen=True, slots=True)
class FilterSettings:
    """What claims must be like.

    Attributes:
        max_words: of a claim.
        language: in which they are written, by its English name; see `vapo.claims.filters.languages.SCRIPTS`.
        max_colour, max_counting: largest share of an image's claims that say a colour or a number and nothing else.
        max_similarity: cosine of two claims' embeddings above which they count as one.
        hedges: regular expressions, in place of the English ones.
        without: names of filters to leave out; see `REASONS`.
    """

    max_words: int = 20
    language: str = "English"
    max_colour: float = 0.25
    max_counting: float = 0.25
    max_similarity: float = 0.95
    hedges: tuple[str, ...] = HEDGES
    without: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        shares = {"max_colour": self.max_colour, "max_counting": self.max_counting}
        for name, share in {**shares, "max_similarity": self.max_similarity}.items():
            if not 0 <= share <= 1:
                raise ConfigError(f"{name} is {share}; it must be in [0, 1]")
        if self.max_words < 1:
            raise ConfigError(f"max_words is {self.max_words}; it must be at least 1")
        unknown = sorted(self.without - REASONS.keys())
        if unknown:
            raise ConfigError(f"there is no filter {unknown[0]!r}; the filters are {', '.join(REASONS)}")
        if self.language not in SCRIPTS and "language" not in self.without:
            raise ConfigError(
                f"the language {self.language!r} cannot be told from others; name one of {', '.join(SCRIPTS)}, or "
                "leave the filter 'language' out"
            )


def is_too_long(text: str, settings: FilterSettings) -> bool:
    """It has more words than are allowed."""
    return len(text.split()) > settings.max_words


def hedges(text: str, settings: FilterSettings) -> bool:
    """It leaves open what is so."""
    return _compile_hedges(settings.hedges).search(without_quotations(text)) is not None


def is_no_statement(text: str, settings: FilterSettings) -> bool:
    """It is a question, or a word alone."""
    return text.rstrip().endswith("?") or len(text.split()) < 2


def states_several_facts(text: str, settings: FilterSettings) -> bool:
    """It has several sentences, or two clauses with a verb each."""
    plain = without_quotations(text).strip().rstrip(".!?")
    if ";" in plain or _SENTENCE_END.search(plain):
        return True
    return any(
        _VERB.search(plain[: joint.start()]) and _VERB.search(plain[joint.end() :]) for joint in _JOINT.finditer(plain)
    )


def has_other_language(text: str, settings: FilterSettings) -> bool:
    """It is not in the language that was asked for."""
    return not is_in_language(text, settings.language)


def has_special_token(text: str, settings: FilterSettings) -> bool:
    """It holds what a tokenizer or a chat template may take for more than text."""
    return find_special_token(text) is not None


def speaks_of_task(text: str, settings: FilterSettings) -> bool:
    """It speaks of a question, an answer or a claim instead of the image."""
    return _TASK.search(without_quotations(text)) is not None


_SENTENCE_END = re.compile(r"(?<=\w{3})[.!?]\s+\w")
_JOINT = re.compile(
    r",?\s+(?:and|but|while|whereas|although|though|because|since|so that|as well as)\s+|,\s+(?:which|who)\s+",
    re.IGNORECASE,
)
_VERB = re.compile(
    r"\b(?:is|are|was|were|has|have|had|wears?|holds?|shows?|stands?|sits?|contains?|lies|reads|says|faces|hangs?"
    r"|displays?|features?|includes?|carr(?:y|ies)|looks?|points?|leans?|rests?|runs?|walks?|rides?|plays?|eats?|covers?"
    r"|touch(?:es)?|appears?|there's|it's)\b",
    re.IGNORECASE,
)
_TASK = re.compile(
    r"\b(?:the|this|that|a|correct|right|wrong|final|true|false) (?:question|answer|task|claim|statement|prompt|"
    r"instruction)s?\b|\boption [A-E]\b|\bground truth\b|\bas an ai\b|\baccording to the (?:text|question|prompt)\b",
    re.IGNORECASE,
)


@lru_cache
def _compile_hedges(hedges: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(hedges)})\b", re.IGNORECASE)


Filter = Callable[[str, FilterSettings], bool]

FILTERS: Mapping[str, Filter] = {
    "length": is_too_long,
    "special token": has_special_token,
    "language": has_other_language,
    "hedge": hedges,
    "no statement": is_no_statement,
    "several facts": states_several_facts,
    "task": speaks_of_task,
}
"""Filters by name, in the order in which they are asked."""

REASONS: Mapping[str, str] = {
    "length": "too long",
    "special token": "holds a special token",
    "language": "in another language",
    "hedge": "hedged",
    "no statement": "not a statement",
    "several facts": "several facts at once",
    "task": "about the task instead of the image",
    "duplicate": "the same as another claim",
    "negation": "another claim with a negation",
    "colour": "one too many about a plain colour",
    "counting": "one too many about a number of things",
    "surplus": "one more than was asked for",
}
"""What a model is told of each filter's rejections. The last five need the image's other claims; "surplus" is no
fault."""


def find_rejection_reason(text: str, settings: FilterSettings) -> str | None:
    """Return the name of the first filter that rejects a claim; None if none does."""
    for name, rejects in FILTERS.items():
        if name not in settings.without and rejects(text, settings):
            return name
    return None
