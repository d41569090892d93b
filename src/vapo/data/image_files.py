"""Find the bytes of an image that a row only names: by a path inside the data folder, or by a URL if allowed.

A data set is somebody else's text. A path in it may not lead out of the data folder, by `..`, by a symbolic link or
by being absolute, and no address is visited unless the user said so; then none of the user's own network.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import cast
from urllib.request import Request

from vapo.api.web import fetch
from vapo.errors import DataError

MAX_DOWNLOAD_BYTES = 64 * 1024 * 1024
DOWNLOAD_TIMEOUT_S = 30.0
_SHOWN = 200  # characters of a path in a message
_LOOKED_THROUGH = 20  # folders beside the data, for a missing image
_BEGINNINGS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP  ")
_URL_SAFE = str.maketrans("-_", "+/")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


@dataclass(frozen=True, slots=True)
class Folder:
    """Where relative paths start (`base`), and what no path may leave (`root`)."""

    base: Path
    root: Path


def take_value(value: object) -> object:
    """Return what an image is held in: of a dict its bytes, path or URL, and of base64 or a data URL the bytes.

    A dict is {bytes, path}, as the hub keeps images, or {url}, {image_url} or {image_url: {url}}, as chats do. Text is
    base64 if what it stands for begins as a file of an image does; other text is a path or URL.

    Raises:
        DataError: a data URL holds none.
    """
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, object]", value)
        held = (fields[name] for name in ("bytes", "path", "url", "image_url") if fields.get(name) is not None)
        inner = next(held, None)
        return take_value(cast("object", inner)) if isinstance(inner, Mapping | str) else inner
    if not isinstance(value, str):
        return value
    head, comma, content = value.partition(",") if value[:5].lower() == "data:" else ("", "", value)
    if head and not (comma and head.lower().endswith(";base64")):
        raise DataError(f"image {shorten(value)} is a data URL without base64; write it as data:image/png;base64,...")
    text = "".join(content.split()).translate(_URL_SAFE).rstrip("=")
    try:
        read = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError as error:
        if head:
            raise DataError(f"image {shorten(value)} is a data URL whose base64 is broken") from error
        return value
    return read if head or read.startswith(_BEGINNINGS) or read[4:8] == b"ftyp" else value


def shorten(path: str) -> str:
    """Return a path or URL as a message quotes it."""
    if len(path) <= _SHOWN:
        return repr(path)
    return f"'{path[:_SHOWN]}...' of {len(path)} characters (if it is to be base64, it is that of no image)"


def find_image(path: str, folder: Folder | None) -> Path:
    """Find the image file that a row names.

    Args:
        path: as it stands in the row; an absolute path is taken if it leads into the folder.
        folder: the data folder; None for data that has none (in memory), where every path is refused.

    Raises:
        DataError: there is no folder, no such file, or the file lies outside the folder.
    """
    if folder is None:
        raise DataError(f"image {shorten(path)} is a path, but this data has no folder; name one with image_folder")
    root = folder.root.resolve()
    try:
        found = (folder.base / path).resolve()
        inside, is_file = found.is_relative_to(root), found.is_file()
    except (OSError, ValueError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"image path {shorten(path)} cannot be followed: {why}") from error
    if not inside:
        raise DataError(
            f"image {shorten(path)} leads out of the data folder {root}; move the file into it, or name the "
            "folder that holds the images with image_folder"
        )
    if not is_file:
        raise DataError(f"image {shorten(path)} is not a file in {folder.base}{_suggest_folder(path, folder)}")
    return found


def _suggest_folder(path: str, folder: Folder) -> str:
    """Return the end of a message on a missing image: the folder that its path starts from, if it is one near by."""
    if Path(path).is_absolute() or ".." in Path(path).parts:
        return ""
    here = Path()
    below = sorted(one for one in folder.base.iterdir() if one.is_dir()) if folder.base.is_dir() else []
    for start in (here, *folder.base.parents[:2], *below[:_LOOKED_THROUGH]):
        if (start / path).is_file():
            return f", but one in {start.resolve()}: name that folder with image_folder (--image-folder {start})"
    return "; if its path starts elsewhere, name that folder with image_folder (--image-folder)"


def is_url(path: str) -> bool:
    """Whether a row's text is an address rather than a path."""
    return _SCHEME.match(path) is not None


def download_image(url: str, allow_urls: bool) -> bytes:
    """Fetch an image from a web address, within 30 seconds in all.

    Redirects are followed, and at every hop the address is checked: none of a private network or of this machine is
    asked, unless the user named its host (`vapo.api.web.TRUSTED_HOSTS`).

    Args:
        url: an address that begins with http:// or https://.
        allow_urls: whether the user has allowed it.

    Raises:
        DataError: URLs are not allowed, it is not a web address or no public one, it fails, or it has more than
            64 MiB.
    """
    if not allow_urls:
        raise DataError(f"image {shorten(url)} is a URL; download it into the data folder, or pass --allow-urls")
    if not url.lower().startswith(("http://", "https://")):
        raise DataError(f"image {shorten(url)} is no web address: only http:// and https:// are fetched")
    try:
        content = fetch(
            Request(url),
            max_bytes=MAX_DOWNLOAD_BYTES,
            seconds=DOWNLOAD_TIMEOUT_S,
            only_public=True,
            follow_redirects=True,
        )
    except (OSError, ValueError, HTTPException) as error:  # urllib.error.URLError is an OSError
        raise DataError(f"image {shorten(url)} could not be fetched: {error}") from error
    if len(content) > MAX_DOWNLOAD_BYTES:
        raise DataError(f"image {shorten(url)} has more than {MAX_DOWNLOAD_BYTES // 2**20} MiB")
    return content
