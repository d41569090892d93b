"""Names and figures as Markdown that cannot turn into anything else."""

from __future__ import annotations

import re
from collections.abc import Iterable

from vapo.core.control_characters import show_controls


def write_table(head: tuple[str, str], rows: Iterable[tuple[str, object]]) -> str:
    """Return a table of two columns; "" if it has no rows."""
    lines = [f"| {escape(name)} | {escape(str(value))} |" for name, value in rows]
    return "\n".join([f"| {head[0]} | {head[1]} |", "|---|---|", *lines]) if lines else ""


def escape(text: str) -> str:
    """Keep names of models and words of claims from being Markdown or HTML."""
    plain = show_controls(" ".join(text.split()))
    for mark in "\\`*_[]<>|#":
        plain = plain.replace(mark, f"\\{mark}")
    return plain


def quote(text: str) -> str:
    """Return text as a value of a card's front matter, on one line."""
    plain = show_controls(" ".join(text.split()))
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def fence(text: str, language: str) -> str:
    """Return text as a block of code that nothing in it ends: its fence is longer than any row of backticks inside."""
    marks = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{marks}{language}\n{show_controls(text).rstrip()}\n{marks}"
