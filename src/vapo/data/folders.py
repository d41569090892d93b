"""Find the data files of a folder and the split that each belongs to, by the names of files and subfolders."""

from __future__ import annotations

import re
from pathlib import Path

from vapo.errors import DataError

_SUFFIXES = (".parquet", ".jsonl")
_SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
    "heldout": ("heldout", "holdout"),
}


def find_parts(folder: Path) -> dict[str, list[Path]]:
    """Sort the Parquet or JSON Lines files of a folder by split.

    Files lie in the folder or one folder below. A file belongs to the split whose name (`train`, `validation`,
    `test`, `heldout`, or a usual other form) is a word of its path, and to `train` where there is none.

    Args:
        folder: the folder.

    Returns:
        The files of each split, sorted by path.

    Raises:
        DataError: there are no data files, or some of both kinds.
    """
    found = sorted(
        path
        for suffix in _SUFFIXES
        for pattern in (f"*{suffix}", f"*/*{suffix}")
        for path in folder.glob(pattern)
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    kinds = {path.suffix for path in found}
    if not found:
        held = sorted({path.suffix for path in folder.iterdir() if path.is_file() and path.suffix})
        seen = f"only files with {', '.join(held)}" if held else "no files"
        raise DataError(
            f"the folder {folder} holds no data: no .parquet or .jsonl file in it or one folder below, and nothing "
            f"that save_to_disk wrote; there are {seen}. Bare images need a metadata.jsonl beside them, with one line "
            "per question"
        )
    if len(kinds) > 1:
        raise DataError(f"the folder {folder} holds both .parquet and .jsonl files; name the file that is meant")
    parts: dict[str, list[Path]] = {}
    for path in found:
        parts.setdefault(_name_split(path.relative_to(folder)), []).append(path)
    return parts


def _name_split(path: Path) -> str:
    words = re.split(r"[^a-z]+", str(path.with_suffix("")).lower())
    for split, names in _SPLITS.items():
        if any(word in names for word in words):
            return split
    return "train"
