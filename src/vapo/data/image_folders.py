"""A folder of nothing but images, read as a data set of one row for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vapo.data.image_files import Folder
from vapo.errors import DataError

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".jp2", ".avif", ".ico"}
)
"""What files of images end in."""

_DATA_SUFFIXES = (".parquet", ".jsonl", ".arrow")
_COLUMN = "file_name"


class ImageFolderRows:
    """The images of a folder and of those below it, sorted by path; `num_others` files are no images.

    Args:
        path: the folder. What begins with a dot is passed over.

    Raises:
        DataError: there are no images.
    """

    def __init__(self, path: Path) -> None:
        files = sorted(file for file in path.rglob("*") if file.is_file() and not _is_hidden(file.relative_to(path)))
        self.source = str(path)
        self.columns: tuple[str, ...] = (_COLUMN,)
        self._folder = Folder(path, path)
        self._names = [file.relative_to(path).as_posix() for file in files if file.suffix.lower() in SUFFIXES]
        self.num_others = len(files) - len(self._names)
        if not self._names:
            held = sorted({file.suffix for file in files if file.suffix})
            seen = f"only files with {', '.join(held)}" if held else "no files"
            raise DataError(
                f"the folder {path} holds neither images ({', '.join(sorted(SUFFIXES))}) nor a data set; there are "
                f"{seen}"
            )

    def __len__(self) -> int:
        return len(self._names)

    def read(self, index: int) -> Mapping[str, Any]:
        return {_COLUMN: self._names[index]}

    def folder(self, index: int) -> Folder:
        return self._folder

    def locate(self, index: int) -> str:
        return self._names[index]

    def keep(self, columns: Sequence[str]) -> ImageFolderRows:
        return self


def holds_bare_images(path: Path) -> bool:
    """Return whether a path is a folder without files of a data set in it or one folder below."""
    return path.is_dir() and not any(
        next(path.glob(f"{below}*{suffix}"), None) for suffix in _DATA_SUFFIXES for below in ("", "*/")
    )


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
