"""Names and figures as Markdown that cannot turn into anything else."""

from __future__ import annotations

from collections.abc import Iterable


def write_table(head: tuple[str, str], rows: Iterable[tuple[str, object]]) -> str:
    """Return a table of two columns; "" if it has no rows."""
    lines = [f"| {escape(name)} | {escape(str(value))} |" for name, value in rows]
    return "\n".join([f"| {head[0]} | {head[1]} |", "|---|---|", *lines]) if lines else ""


def escape(text: str) -> str:
    """Keep names of models and words of claims from being Markdown or HTML."""
    plain = " ".join(text.split())
    for mark in "\\`*_[]<>|#":
        plain = plain.replace(mark, f"\\{mark}")
    return plain


def quote(text: str) -> str:
    """Return text as a value of a card's front matter."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
