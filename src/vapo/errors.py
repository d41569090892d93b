"""Errors a user can act on: each message says what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterable


class VapoError(Exception):
    """Base of all errors that vapo raises on purpose; the command line prints its message without a traceback."""


class DataError(VapoError):
    """A data set, or a row of it, cannot be used as it is."""


class ConfigError(VapoError):
    """An option is unknown, contradictory, or out of its range."""


class ModelError(VapoError):
    """A model, tokenizer or processor cannot do what is asked of it."""


def suggest_nearest(name: str, known: Iterable[str], *, closeness: float = 0.5) -> str:
    """Return the end of a sentence that tells which known name is nearest to a wrong one; "" if none is as close."""
    import difflib  # no command needs it that goes well

    close = difflib.get_close_matches(name, list(known), n=1, cutoff=closeness)
    return f"; the nearest is {close[0]!r}" if close else ""
