"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def drafting(path: Path) -> Generator[Path]:
    """Give the path of a draft that takes the place of `path` when the block ends.

    If the block fails, `path` stays as it was and the draft is removed. Drafts of several processes differ.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield draft
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def drafting_folder(path: Path) -> Generator[Path]:
    """Give an empty folder that takes the place of `path`, which is missing or empty, when the block ends.

    If the block fails, `path` stays as it was and the draft is removed.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.mkdir(parents=True)
    try:
        yield draft
        os.replace(draft, path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader, or a later run, finds the old text or the new, never a part."""
    with drafting(path) as draft, draft.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
