"""Keep text from data, or from a model, from turning into special tokens.

A tokenizer replaces the strings of its added tokens (`<|im_end|>`, `<|image_pad|>`, `<think>`) by their ids wherever
they stand, also in a question or a claim, and a processor expands its image token wherever it finds the string. So
these strings are broken before such text enters a prompt: an invisible character is put after their first one. The
same holds of `<0x0A>`, by which a vocabulary names a byte: some tokenizers take that text for the byte.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, cast

from vapo.errors import ModelError

BREAKERS = ("\u200b", "\u2060", "\u00ad", " ")
"""What may break a string, best first: zero width space, word joiner, soft hyphen, and a space as the last resort."""


def escape(text: str, added_tokens: Iterable[str], breaker: str = BREAKERS[0]) -> str:
    """Break every added token that stands in a text, overlapping ones too.

    Text without added tokens comes back as it is, and so does text that was escaped before. Strings of a single
    character cannot be broken and are left; so are those of white space only, which some tokenizers add for speed
    and which are ordinary text.

    Args:
        text: any text.
        added_tokens: the strings to break; see `added_token_strings`.
        breaker: the character to put after the first one of each. It may not stand in an added token.

    Raises:
        ModelError: `breaker` stands in an added token that would have to be broken.
    """
    pattern = _compile(tuple(added_tokens), breaker)
    return text if pattern is None else pattern.sub(lambda match: match[0] + breaker, text)


def added_token_strings(processing_class: Any) -> tuple[str, ...]:
    """List every string that a tokenizer or processor treats as more than text, longest first.

    These are the tokenizer's added tokens, special or not, and the tokens that a processor keeps as attributes
    (`image_token`, `video_token`, `boi_token`, ...), and the names of bytes in its vocabulary.

    Args:
        processing_class: a `transformers` tokenizer or processor.
    """
    tokenizer = getattr(processing_class, "tokenizer", processing_class)
    found = {str(content) for content in tokenizer.get_added_vocab()}
    found.update(str(token.content) for token in tokenizer.added_tokens_decoder.values())
    found.update(_find_bytes(tokenizer).values())
    if tokenizer is not processing_class:
        for name, value in cast("dict[str, Any]", vars(processing_class)).items():
            content = value if isinstance(value, str) else getattr(value, "content", None)
            if name.endswith("_token") and isinstance(content, str):
                found.add(content)
    return tuple(sorted((token for token in found if token), key=lambda token: (-len(token), token)))


def make_escaper(processing_class: Any) -> Escaper:
    """Make the function that escapes text for one tokenizer, and prove on its own added tokens that it works.

    Beyond `escape`, it encodes each text it returns: a tokenizer that normalises text before it looks for added
    tokens (`<IMAGE>` read as `<image>`) finds more than the bare strings, and those are broken where it finds them.

    Args:
        processing_class: a `transformers` tokenizer (a fast one) or a processor that has one.

    Returns:
        A function from text to text; it raises ModelError on text that it cannot escape.

    Raises:
        ModelError: no breaker works for this tokenizer.
    """
    strings = added_token_strings(processing_class)
    tokenizer = getattr(processing_class, "tokenizer", processing_class)
    for breaker in BREAKERS:
        if any(breaker in token for token in strings if _is_breakable(token)):
            continue
        escaper = Escaper(tokenizer, strings, breaker)
        if all(escaper.finds_no_added_token(escape(token, strings, breaker)) for token in strings):
            return escaper
    raise ModelError(
        f"under {type(tokenizer).__name__}, text cannot be kept from turning into added tokens: one is found even "
        "when a character is put into it"
    )


class Escaper:
    """`escape` for one tokenizer, checked on each text. A class, so that it can be pickled."""

    def __init__(self, tokenizer: Any, strings: tuple[str, ...], breaker: str) -> None:
        self.breaker = breaker
        self._tokenizer = tokenizer
        self._strings = strings
        self._ids = frozenset(
            int(token_id)
            for token_id, token in tokenizer.added_tokens_decoder.items()
            if _is_breakable(str(token.content)) and token_id != tokenizer.unk_token_id
        )
        self._bytes = _find_bytes(tokenizer)

    def __call__(self, text: str) -> str:
        plain = escape(text, self._strings, self.breaker)
        for _ in range(len(text) + 1):
            starts = self._find_added_tokens(plain)
            if not starts:
                return plain
            for start in reversed(starts):
                plain = plain[: start + 1] + self.breaker + plain[start + 1 :]
        raise ModelError(f"this text cannot be kept from turning into added tokens: {text!r}")

    def list_added_tokens(self, text: str) -> list[int]:
        """Return the ids of the added tokens, and of the bytes by their names, that a text is read as, in order."""
        if not self._tokenizer.is_fast:
            ids = cast("list[int]", self._tokenizer.encode(text, add_special_tokens=False))
            return [token_id for token_id in ids if token_id in self._ids]
        return [token_id for token_id, _ in self._locate(text)]

    def finds_no_added_token(self, text: str) -> bool:
        """Return whether a text is read as text alone."""
        return not self.list_added_tokens(text)

    def _find_added_tokens(self, text: str) -> list[int]:
        if not self._tokenizer.is_fast:
            return self._refuse_added_tokens(text)
        return [start for _, start in self._locate(text)]

    def _locate(self, text: str) -> list[tuple[int, int]]:
        encoding = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        spans = cast("list[tuple[int, int]]", encoding["offset_mapping"])
        ids = cast("list[int]", encoding["input_ids"])
        return [
            # Some added tokens take spaces with them.
            (token_id, start + len(text[start:end]) - len(text[start:end].lstrip()))
            for token_id, (start, end) in zip(ids, spans, strict=True)
            if token_id in self._ids or self._is_name_of_byte(token_id, text[start:end])
        ]

    def _is_name_of_byte(self, token_id: int, text: str) -> bool:
        # A byte by its name, and not as part of a character that the vocabulary lacks.
        name = self._bytes.get(token_id)
        return name is not None and name.lower() in unicodedata.normalize("NFKC", text).lower()

    def _refuse_added_tokens(self, text: str) -> list[int]:
        """Check only: a tokenizer written in Python does not tell where in the text its tokens come from."""
        if self._ids.isdisjoint(self._tokenizer.encode(text, add_special_tokens=False)):
            return []
        raise ModelError(f"this text cannot be kept from turning into added tokens: {text!r}")


def _find_bytes(tokenizer: Any) -> dict[int, str]:
    names = [f"<0x{byte:02X}>" for byte in range(256)]
    ids = cast("list[int | None]", tokenizer.convert_tokens_to_ids(names))
    return {
        token_id: name
        for token_id, name in zip(ids, names, strict=True)
        if token_id is not None and token_id != tokenizer.unk_token_id
    }


def _is_breakable(token: str) -> bool:
    return len(token) > 1 and not token.isspace()


@lru_cache(maxsize=64)
def _compile(added_tokens: tuple[str, ...], breaker: str) -> re.Pattern[str] | None:
    tokens = [token for token in added_tokens if _is_breakable(token)]
    if not tokens:
        return None
    for token in tokens:
        if breaker in token:
            raise ModelError(f"the breaker {breaker!r} stands in the added token {token!r}; choose another")
    by_first: dict[str, list[str]] = {}
    for token in tokens:
        by_first.setdefault(token[0], []).append(re.escape(token[1:]))
    # One alternative for each first character, and the rest as a look-ahead, so that overlapping tokens are all found.
    return re.compile("|".join(f"{re.escape(first)}(?={'|'.join(rest)})" for first, rest in by_first.items()))
