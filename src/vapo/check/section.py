"""What was looked at, as a page for a terminal and as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from vapo.core.text_tables import list_facts
from vapo.errors import VapoError

WIDTH = 110
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Section:
    """One thing that was looked at.

    Attributes:
        title: what it is.
        facts: what was found, by name: texts for the page.
        numbers: the same as plain values.
        problems: what a run would stop at.
        warnings: what would not stop it, and may spoil it.
    """

    title: str
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    numbers: Mapping[str, Any] = field(default_factory=dict[str, Any])
    problems: Sequence[str] = ()
    warnings: Sequence[str] = ()


def attempt(title: str, find: Callable[[], Found]) -> Found | Section:
    """Return what is found, or the section whose problem is what was raised: a run would stop at that too."""
    try:
        return find()
    except VapoError as error:
        return Section(title, problems=[str(error)])
    except Exception as error:  # models, processors and data sets raise what they like
        said = " ".join(str(error).split()) or "no message"
        return Section(title, problems=[f"{type(error).__name__}: {said}"])


def format_page(sections: Sequence[Section]) -> str:
    """Return the page."""
    lines: list[str] = []
    for section in sections:
        lines += ["", section.title]
        for name, value in section.facts.items():
            first, *rest = textwrap.wrap(value, WIDTH - 24, break_long_words=False) or [""]
            lines += list_facts([(f"  {name}", first), *(("", line) for line in rest)], 22)
        for mark, sentences in (("problem", section.problems), ("warning", section.warnings)):
            for sentence in sentences:
                lines += textwrap.wrap(f"{mark}: {sentence}", WIDTH, initial_indent="  ", subsequent_indent="    ")
    problems, warnings = (sum(len(getattr(one, kind)) for one in sections) for kind in ("problems", "warnings"))
    lines += ["", f"{_count(problems, 'problem')}, {_count(warnings, 'warning')}"]
    return "\n".join(lines[1:])


def to_json(sections: Sequence[Section]) -> dict[str, Any]:
    """Return the page as plain values, by title."""
    return {
        "passes": not any(section.problems for section in sections),
        "sections": [asdict(section) for section in sections],
    }


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
