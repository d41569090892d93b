"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_file(path: Path) -> Generator[Path]:
    """Give the path of a temporary file that takes the place of `path` when the block ends.

    If the block fails, `path` stays as it was and the temporary is removed. Temporary files of several processes
    differ.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Generator[Path]:
    """Give an empty folder that takes the place of `path`, which is missing or empty, when the block ends.

    If the block fails, `path` stays as it was and the temporary is removed.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader, or a later run, finds the old text or the new, never a part."""
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
