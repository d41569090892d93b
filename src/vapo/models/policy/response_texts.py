"""Between the tokens of a response and their text, by one tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from vapo.core.token_texts import split_into_token_texts
from vapo.errors import ConfigError
from vapo.models.diagnosed_model import Cut

_CONTEXT_OF_TEXT = 16  # tokens; enough before new ones to know what text they add


def spell_tokens(tokenizer: Any, ids: Sequence[int], before: Sequence[int] = ()) -> tuple[str, ...]:
    """Return the text that each token adds, "" for special ones; see `Rollout.token_texts`.

    Args:
        tokenizer: a `transformers` tokenizer.
        ids: the tokens.
        before: what stands before them, of which they may continue a character.
    """

    def decode(some: Sequence[int]) -> str:
        return str(tokenizer.decode(list(some), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    context = tuple(before[-_CONTEXT_OF_TEXT:])
    return split_into_token_texts((*context, *ids), decode)[len(context) :]


def read_suffix(tokenizer: Any, suffix: str, vision_token_ids: Collection[int]) -> tuple[int, ...]:
    """Return the tokens of text that is written behind a cut; special tokens are read as such.

    Raises:
        ConfigError: it holds a token that stands for an image.
    """
    ids = tuple(tokenizer.encode(suffix, add_special_tokens=False)) if suffix else ()
    images = set(ids) & set(vision_token_ids)
    if images:
        names = ", ".join(tokenizer.convert_ids_to_tokens(sorted(images)))
        raise ConfigError(f"the text {suffix!r} holds {names}, which stands for an image; write it otherwise")
    return ids


def read_cut_texts(
    tokenizer: Any, cut: Cut, escape: Callable[[str], str], vision_token_ids: Collection[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the tokens of a cut's suffix, and those of its text, of which none is special.

    Raises:
        ConfigError: the suffix holds a token that stands for an image.
    """
    text = tuple(tokenizer.encode(escape(cut.text), add_special_tokens=False)) if cut.text else ()
    return read_suffix(tokenizer, cut.suffix, vision_token_ids), text
