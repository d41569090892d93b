"""Where an OpenAI-compatible server is, and the key to it, which stands in the environment alone."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit, urlunsplit

from vapo.errors import ConfigError

KEY = "OPENAI_API_KEY"
CHAT = "/chat/completions"
MODELS = "/models"
EMBEDDINGS = "/embeddings"


def read_key() -> str | None:
    """Return the key; None if there is none."""
    return os.environ.get(KEY) or None


def find_api(url: str) -> str:
    """Return where a server's OpenAI endpoints are: below `/v1`, unless the URL names another folder.

    Raises:
        ConfigError: it is no HTTP URL.
    """
    refused = ConfigError(f"{hide_password(url)!r} is no URL of a server; write it as http://localhost:8000")
    try:
        parts = urlsplit(url.strip())
        has_place = bool(parts.hostname) and parts.port != 0 and " " not in parts.netloc
    except ValueError:  # no host, or no port, that there can be
        raise refused from None
    if parts.scheme not in ("http", "https") or not has_place:
        raise refused
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") or "/v1", "", ""))


def hide_password(url: str) -> str:
    """Return a URL without the name and password that may stand in it."""
    return re.sub(r"(?<=//)[^/?#]*@", "", url)
