"""Errors a user can act on: each message says what is wrong, where, and what to do."""

from __future__ import annotations


class VapoError(Exception):
    """Base of all errors that vapo raises on purpose; the command line prints its message without a traceback."""


class DataError(VapoError):
    """A data set, or a row of it, cannot be used as it is."""


class ConfigError(VapoError):
    """An option is unknown, contradictory, or out of its range."""


class ModelError(VapoError):
    """A model, tokenizer or processor cannot do what is asked of it."""
