"""Black out keys and passwords in whatever is kept, logged or shown.

What a server answers may quote the request's headers, a URL may carry a password, and options may hold a token. None
of them belongs into a file that is made to be shared.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast
from urllib.parse import quote

HIDDEN = "***"
KEYS_IN_ENVIRONMENT = ("OPENAI_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY")

_LEAST_LENGTH = 6  # anything shorter is a word
_NO_KEYS = frozenset(("dummy", "nokey", "no-key", "not-needed", "ollama", "lm-studio"))
"""What people put in place of a key for servers that want none, and what answers may say in earnest."""

_TOKEN = r"[\w.~+/=-]"
# A word behind "Basic" is a credential if it does not look like a word: a digit, a capital behind a small letter, or
# more letters than words have.
_LOOKS_RANDOM = rf"(?=(?:{_TOKEN}*(?:\d|[a-z][A-Z]))|{_TOKEN}{{20}})"
_SCHEME = r"(?i:bearer|basic|token|digest)\s+"
_HEADER = r"(?i:authorization|x-api-key|api-key)\\?[\"']?\s*[:=]\s*\\?[\"']?"
_PATTERNS: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = tuple(
    (hints, re.compile(pattern, re.ASCII))
    for hints, pattern in (
        (("uthorization", "UTHORIZATION"), rf"({_HEADER}{_SCHEME})[^\s\"'\\,;}}]+"),
        (("uthorization", "UTHORIZATION", "pi-key", "PI-KEY", "pi-Key"), rf"({_HEADER}){_LOOKS_RANDOM}{_TOKEN}{{6,}}"),
        (("earer ", "EARER ", "asic ", "ASIC "), rf"(\b(?i:bearer|basic)\s+){_LOOKS_RANDOM}{_TOKEN}{{8,}}"),
        (("@",), r"(\b[A-Za-z][A-Za-z0-9+.-]*:\\?/\\?/)[^\s/?#\\\"'<>]*(?=@)"),
        (
            ("key=", "oken=", "sig=", "ignature=", "assword=", "ecret="),
            r"([?&](?i:api[_-]?key|(?:access_|auth_)?token|key|sig|signature|password|secret)=)[^&\s\\\"'<>#]+",
        ),
        (("hf_",), r"()\bhf_[A-Za-z0-9]{16,}"),
        (("sk-",), r"()\bsk-[\w-]{16,}"),
    )
)
"""What is blacked out behind its first group; each is looked for where one of its hints stands, as answers may have
many megabytes."""

_NAMES_OF_SECRETS = re.compile(
    r"(?i)^(?:.*_)?(?:(?:hf|hub|access|auth|api|bearer)_?token|pass(?:word|wd|phrase)|secret|"
    r"(?:api|secret|private|access)_?key|authorization|credentials?)$|^token$"
)


def redact(text: str) -> str:
    """Return a text without the keys of the environment, credentials and passwords.

    Keys are found as they are, in base64 and escaped; credentials behind `Authorization`, `Bearer` and `Basic`; names
    and passwords in URLs; and tokens of known forms.
    """
    for secret in _forms(tuple(os.environ.get(name, "") for name in KEYS_IN_ENVIRONMENT)):
        text = text.replace(secret, HIDDEN)
    for hints, pattern in _PATTERNS:
        if any(hint in text for hint in hints):
            text = pattern.sub(rf"\g<1>{HIDDEN}", text)
    return text


def redact_bytes(content: bytes) -> bytes:
    """Return what `redact` leaves of bytes in any encoding that contains ASCII; the same bytes if that is all."""
    text = content.decode("latin-1")
    left = redact(text)
    return content if left == text else left.encode("latin-1")


def redact_settings(value: Any, name: str = "") -> Any:
    """Return settings, nested in mappings and lists, without their keys and passwords.

    Args:
        value: a setting, or a mapping or list of some.
        name: what it is called: the text of a `token`, `api_key` or `password` goes as a whole.
    """
    if isinstance(value, str):
        return HIDDEN if value and _NAMES_OF_SECRETS.search(name) else redact(value)
    if isinstance(value, Mapping):
        named = cast("Mapping[Any, Any]", value)
        left: Any = {key: redact_settings(inner, str(key)) for key, inner in named.items()}
    elif isinstance(value, list | tuple):
        listed = cast("Any", value)
        left = type(listed)(redact_settings(inner, name) for inner in listed)
    else:
        return value
    kept = cast("Any", value)
    return kept if left == kept else left  # of the same type, where nothing was hidden


@lru_cache(maxsize=4)
def _forms(secrets: tuple[str, ...]) -> tuple[str, ...]:
    """Return every form of the secrets that is looked for, long ones first."""
    found: set[str] = set()
    for secret in secrets:
        if len(secret) < _LEAST_LENGTH or secret.lower() in _NO_KEYS:
            continue
        escaped = json.dumps(secret)[1:-1]
        found |= {secret, escaped, escaped.replace("/", r"\/"), quote(secret, safe="")}
        for shift in range(3):  # base64 writes three bytes as four letters, so it depends on what stands before
            whole = base64.b64encode(b"\0" * shift + secret.encode()).decode().rstrip("=")
            inner = whole[(shift * 8 + 5) // 6 :]
            inner = inner if (shift + len(secret.encode())) % 3 == 0 else inner[:-1]
            found |= {inner, inner.replace("+", "-").replace("/", "_")}
    return tuple(sorted(found, key=len, reverse=True))
