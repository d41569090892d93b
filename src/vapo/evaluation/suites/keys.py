"""Keys: what an answer of a benchmark is graded against. One kind of answer, one class."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from vapo.core.answers.choices import read_yes_or_no
from vapo.core.answers.comparison import find_options
from vapo.core.answers.equations import list_numbers
from vapo.core.answers.spelling import clean
from vapo.core.grading import is_same_answer

_WORD = re.compile(r"(?<!\w)-?\d+(?:\.\d+)?(?!\w)|[^\W_]+")
_COMMA = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


class Key(Protocol):
    """The right answer to one question."""

    @property
    def reference(self) -> str:
        """The right answer in words, for logs and judges."""
        ...

    def grade(self, answer: str) -> float | None:
        """Return how right an answer is, in [0, 1]; None if it is no answer of the kind that was asked for."""
        ...


@dataclass(frozen=True, slots=True)
class Written:
    """An answer written out: a number, an expression, a word. Any of several spellings is right."""

    spellings: tuple[str, ...]

    @property
    def reference(self) -> str:
        """The spellings."""
        return " or ".join(self.spellings)

    def grade(self, answer: str) -> float | None:
        """Return 1.0 if the answer agrees with a spelling, as `vapo.core.grading` has it."""
        return float(any(is_same_answer(answer, spelling) for spelling in self.spellings))


@dataclass(frozen=True, slots=True)
class Choice:
    """One letter, or several that all belong to the answer.

    Attributes:
        letters: capital letters in order.
        options: the texts behind A, B, ..., where the row has them: an answer may name a text instead of its letter.
    """

    letters: tuple[str, ...]
    options: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """The letters."""
        return ", ".join(self.letters)

    def grade(self, answer: str) -> float | None:
        """Return 1.0 for exactly these letters or their texts, 0.0 for others, None for neither letter nor text."""
        given = find_options(answer, self.options)
        return None if given is None else float(set(given) == set(self.letters))


@dataclass(frozen=True, slots=True)
class Rounded:
    """A number that counts up to some decimals."""

    value: float
    decimals: int

    @property
    def reference(self) -> str:
        """The number."""
        return f"{self.value:.{self.decimals}f}"

    def grade(self, answer: str) -> float | None:
        """Return 1.0 if the answer's one number rounds to the same; None if it is not one number.

        Its unit is dropped. What is said in percent may be meant as a share. Where no decimals count, "2,3" is two
        numbers.
        """
        values = list_numbers(answer, decimal_comma=self.decimals > 0)
        if not values:
            return None
        return float(any(round(value, self.decimals) == round(self.value, self.decimals) for value in values))


@dataclass(frozen=True, slots=True)
class YesNo:
    """Yes or no."""

    is_yes: bool

    @property
    def reference(self) -> str:
        """ "Yes" or "No"."""
        return "Yes" if self.is_yes else "No"

    def grade(self, answer: str) -> float | None:
        """Return 1.0 if the answer says the same; None if it says neither, or both."""
        said = read_yes_or_no(clean(answer))
        return None if said is None else float(said == self.is_yes)


@dataclass(frozen=True, slots=True)
class Elements:
    """Several things to be named, each in one of several wordings.

    Attributes:
        wordings: per thing, its wordings.
    """

    wordings: tuple[tuple[str, ...], ...]

    @property
    def reference(self) -> str:
        """The things, as MM-Vet writes them."""
        return " <AND> ".join(" <OR> ".join(some) for some in self.wordings)

    def grade(self, answer: str) -> float | None:
        """Return the share of the things that the answer names, word by word."""
        said = _spell_words(answer)
        named = [any(_is_within(_spell_words(wording), said) for wording in some) for some in self.wordings]
        return sum(named) / len(named)


def _spell_words(text: str) -> list[str]:
    return _WORD.findall(_COMMA.sub("", clean(text).casefold()))


def _is_within(words: Sequence[str], text: Sequence[str]) -> bool:
    return bool(words) and any(
        list(text[start : start + len(words)]) == list(words) for start in range(len(text) - len(words) + 1)
    )
