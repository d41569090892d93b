"""Strings that tokenizers or chat templates may take for more than text, whatever the model.

Tokenizers may normalise text before they look, so `＜ｉｍａｇｅ＞` is one too. Characters that cannot be seen hide
such strings from persons and from rules, or turn the order of a text round.
"""

from __future__ import annotations

import re
import unicodedata

_TAG = re.compile(
    r"<[|/]?[A-Za-z_][^<>\n]*>|<\|[^<>\n]*\|>|<0x[0-9A-Fa-f]{2}>|<<\w+>>|\[/?[A-Z_]{2,}\]|\{\{|\}\}|\{%|%\}"
)
"""`<|im_end|>`, `<image>`, `</think>`, `<0x0A>`, `<<SYS>>`, `[INST]`, `{{ }}`."""
_SPEAKER = re.compile(r"^\s*#*\s*(?:human|user|assistant|system)\s*:", re.IGNORECASE)
_BREAKER = "\u200b"


_JOINERS = "\u200c\u200d"  # without which Persian, Hindi and some emoji are written wrongly


def find_special_token(text: str) -> str | None:
    """Return the first string in a text that may be a special token, or hides one; None if there is none."""
    plain = unicodedata.normalize("NFKC", text)
    found = _TAG.search(plain) or _SPEAKER.search(plain)
    return found[0].strip() if found else _find_invisible(text)


def break_special_tokens(text: str) -> str:
    """Return the text with an invisible character inside whatever may be a special token."""
    forms = [unicodedata.normalize("NFKC", character) for character in text]
    place_of = [place for place, form in enumerate(forms) for _ in form]
    starts = {place_of[match.start()] for match in _TAG.finditer("".join(forms))}
    return "".join(character + _BREAKER * (place in starts) for place, character in enumerate(text))


def _find_invisible(text: str) -> str | None:
    """Return the first character that controls, formats or has no meaning, but for joiners between letters."""
    for place, character in enumerate(text):
        if unicodedata.category(character)[0] == "C" and not character.isspace():
            beside = text[max(0, place - 1) : place] + text[place + 1 : place + 2]
            joins = len(beside) == 2 and all(ord(one) > 127 and unicodedata.category(one)[0] != "C" for one in beside)
            if character not in _JOINERS or not joins:
                return character
    return None
