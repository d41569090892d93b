"""Read a field that must hold text, or refuse it by name."""

from __future__ import annotations

import re

from vapo.errors import DataError

_SURROGATE = re.compile("[\ud800-\udfff]")


def read_text(value: object, field: str, numbers: bool = False) -> str:
    """Read a field as text, unchanged.

    Args:
        value: what the field holds.
        field: its name, for the message.
        numbers: whether an int or a float is read as its text, as answers and ids often are.

    Raises:
        DataError: it is null, blank, of another type, or holds half of a surrogate pair, which no tokenizer takes.
    """
    if value is None:
        raise DataError(f"{field} is null")
    if numbers and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise DataError(f"{field} is a {type(value).__name__}, not text")
    if not value.strip():
        raise DataError(f"{field} is empty")
    if _SURROGATE.search(value):
        raise DataError(f"{field} holds half of a character (a lone surrogate), which cannot be encoded")
    return value
