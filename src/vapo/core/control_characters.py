"""Characters that steer a terminal or turn the order of text round, made visible instead of obeyed."""

from __future__ import annotations

import re

_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_BREAKING = re.compile(r"[\t\n]")


def show_controls(text: str) -> str:
    r"""Return a text with `\x1b` for an escape character, and so for its like; tabs and line feeds stay.

    Those are the control characters, the separators of lines and paragraphs, embeddings, overrides and isolates of
    direction (Unicode 16, section 23.2), and halves of characters, which no terminal takes.
    """
    return _STEERING.sub(_escape, text)


def show_on_one_line(text: str) -> str:
    r"""Return the same with `\t` and `\n` for tabs and line feeds."""
    return _BREAKING.sub(_escape, show_controls(text))


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
