"""Find the bytes of an image that a row only names: by a path inside the data folder, or by a URL if allowed.

A data set is somebody else's text. A path in it may not lead out of the data folder, by `..`, by a symbolic link or
by being absolute, and no address is visited unless the user said so; then none of the user's own network.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.request import Request

from vapo.api.web import fetch
from vapo.errors import DataError

MAX_DOWNLOAD_BYTES = 64 * 1024 * 1024
DOWNLOAD_TIMEOUT_S = 30.0
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


@dataclass(frozen=True, slots=True)
class Folder:
    """Where relative paths start (`base`), and what no path may leave (`root`)."""

    base: Path
    root: Path


def find_image(path: str, folder: Folder | None) -> Path:
    """Find the image file that a row names.

    Args:
        path: as it stands in the row; an absolute path is taken if it leads into the folder.
        folder: the data folder; None for data that has none (in memory), where every path is refused.

    Raises:
        DataError: there is no folder, no such file, or the file lies outside the folder.
    """
    if folder is None:
        raise DataError(f"image {path!r} is a path, but this data has no folder; name one with image_folder")
    root = folder.root.resolve()
    try:
        found = (folder.base / path).resolve()
        inside, is_file = found.is_relative_to(root), found.is_file()
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"image path {path!r} cannot be followed: {error}") from error
    if not inside:
        raise DataError(
            f"image {path!r} leads out of the data folder {root}; move the file into it, or name the folder that "
            "holds the images with image_folder"
        )
    if not is_file:
        raise DataError(f"image {path!r} is not a file in {folder.base}")
    return found


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
        raise DataError(f"image {url!r} is a URL; download it into the data folder, or pass --allow-urls")
    if not url.lower().startswith(("http://", "https://")):
        raise DataError(f"image {url!r} is no web address: only http:// and https:// are fetched")
    try:
        content = fetch(
            Request(url),
            max_bytes=MAX_DOWNLOAD_BYTES,
            seconds=DOWNLOAD_TIMEOUT_S,
            only_public=True,
            follow_redirects=True,
        )
    except (OSError, ValueError, HTTPException) as error:  # urllib.error.URLError is an OSError
        raise DataError(f"image {url!r} could not be fetched: {error}") from error
    if len(content) > MAX_DOWNLOAD_BYTES:
        raise DataError(f"image {url!r} has more than {MAX_DOWNLOAD_BYTES // 2**20} MiB")
    return content
