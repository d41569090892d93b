"""What commands print, much of it text from data, stores and models, with nothing in it that steers the terminal."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO, cast

from vapo.core.control_characters import show_controls


class PlainStream:
    """A stream that shows control characters instead of sending them; a carriage return alone is a command's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(text if text == "\r" else show_controls(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def plain_output() -> Generator[None]:
    """Show control characters in what is printed inside."""
    with redirect_stdout(cast("TextIO", PlainStream(sys.stdout))):
        yield
