"""Strings that tokenizers or chat templates may take for more than text, whatever the model."""

from __future__ import annotations

import re

_TAG = re.compile(r"<[|/｜]?[A-Za-z_][^<>\n]*>|<<\w+>>|\[/?[A-Z_]{2,}\]|\{\{|\}\}|\{%|%\}")
"""`<|im_end|>`, `<image>`, `</think>`, `<<SYS>>`, `[INST]`, `{{ }}`."""
_SPEAKER = re.compile(r"^\s*#*\s*(?:human|user|assistant|system)\s*:", re.IGNORECASE)
_BREAKER = "\u200b"


def find_special_token(text: str) -> str | None:
    """Return the first string in a text that may be a special token; None if there is none."""
    found = _TAG.search(text) or _SPEAKER.search(text)
    return found[0].strip() if found else None


def break_special_tokens(text: str) -> str:
    """Return the text with an invisible character inside whatever may be a special token."""
    return _TAG.sub(lambda match: match[0][0] + _BREAKER + match[0][1:], text)
