"""Read lines of a text, and fields that must hold text, or refuse them by name."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import IO, AnyStr

from vapo.errors import DataError

MAX_LINE = 32 * 2**20
"""Characters, or bytes, of a line. Parsed, it may take twenty times that in memory."""

_SURROGATE = re.compile("[\ud800-\udfff]")


def read_text(value: object, field: str, numbers: bool = False) -> str:
    """Read a field as text, unchanged.

    Args:
        value: what the field holds.
        field: its name, for the message.
        numbers: whether an int or a float is read as its text, as answers and ids often are.

    Raises:
        DataError: it is null, blank, of another type, a float that is not finite, or holds half of a surrogate pair,
            which no tokenizer takes.
    """
    if value is None:
        raise DataError(f"{field} is null")
    if numbers and isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise DataError(f"{field} is {value}, which is no number; in tables, an empty cell may be read as nan")
        return str(value)
    if not isinstance(value, str):
        raise DataError(f"{field} is a {type(value).__name__}, not text")
    if not value.strip():
        raise DataError(f"{field} is empty")
    if _SURROGATE.search(value):
        raise DataError(f"{field} holds half of a character (a lone surrogate), which cannot be encoded")
    return value


def read_lines(stream: IO[AnyStr], file: object) -> Iterator[AnyStr]:
    """Yield the lines of a file with their ends, reading no further than the longest that is taken.

    Args:
        stream: the open file.
        file: its name, for the message.

    Raises:
        DataError: a line is longer than 32 MiB.
    """
    number = 0
    while line := stream.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise DataError(
                f"{file}, line {number} is longer than {MAX_LINE // 2**20} MiB; write one row a line, with images in "
                "files of their own"
            )
        yield line
