"""The tags of the thinking part: what they are, and how a model can write them.

A tag may be a token that was added to the tokenizer. Such a token can be untrained, so that the model never writes it
(`</think>` of Qwen3-VL Instruct, for example). The tag is plain text then: the token gets another name, and its id
stays, so that the text of the tag is encoded and decoded as any other text.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, cast

from vapo.core.boundaries import THINK_TAGS
from vapo.core.grading import ends_in_open_thinking
from vapo.errors import ConfigError, ModelError
from vapo.models.untrained_tokens import look_untrained

_TAIL = 16  # tokens of a prompt that show whether it ends by opening the thinking part

AUTO = "auto"
TOKENIZER = "tokenizer"
TEXT = "text"
"""Kinds of `think_tags`: decided from the checkpoint; as the tokenizer has them; as plain text. Else it is a pair."""


def read_think_tags(option: str) -> tuple[str, str]:
    """Return what opens and what closes the thinking part under an option `think_tags`.

    Args:
        option: `auto`, `tokenizer`, `text`, or two tags with a space between them.

    Raises:
        ConfigError: it is none of these.
    """
    if option in (AUTO, TOKENIZER, TEXT):
        return THINK_TAGS
    match option.split():
        case [opening, closing] if opening != closing:
            return opening, closing
        case _:
            raise ConfigError(
                f"think_tags is {option!r}; it must be {AUTO!r}, {TOKENIZER!r}, {TEXT!r}, or two different tags with "
                "a space between them, such as '<reason> </reason>'"
            )


def decide_think_tags(option: str, tokenizer: Any, embeddings: Callable[[], AbstractContextManager[Any]]) -> str:
    """Return an option `think_tags` with `auto` decided, and say so where the tags become plain text.

    Args:
        option: as for `read_think_tags`.
        tokenizer: of the model.
        embeddings: opens the model's embeddings, see `vapo.models.untrained_tokens`; only asked if a tag is a token.
    """
    read_think_tags(option)
    if option != AUTO:
        return option
    added = tokenizer.get_added_vocab()
    ids = [added[tag] for tag in THINK_TAGS if tag in added]
    if not ids:
        return TOKENIZER
    with embeddings() as tables:
        untrained = look_untrained(ids, tables, max(tokenizer.get_vocab().values()) + 1, added.values())
    if untrained is None:
        logging.getLogger(__name__).warning(
            "whether the tokens of the think tags are trained cannot be told, because no embeddings were found; set "
            "think_tags to 'tokenizer' or 'text'"
        )
    if not untrained:
        return TOKENIZER
    logging.getLogger(__name__).warning(
        "the tokens %s look untrained in this checkpoint, so the model cannot write them: the tags are plain text "
        "(think_tags: text); set think_tags to 'tokenizer' to keep them as tokens",
        " and ".join(tag for tag in THINK_TAGS if tag in added),
    )
    return TEXT


def adopt_think_tags(option: str, tokenizer: Any) -> tuple[str, str]:
    """Let a tokenizer write tags as an option `think_tags` says, and return them.

    Args:
        option: as for `read_think_tags`; `auto` that was not decided leaves the tokenizer as it is.
        tokenizer: of the policy; under `text` it is changed, and saved with that change.

    Raises:
        ConfigError: the option is unknown.
        ModelError: under `text`, the tokenizer cannot be changed.
    """
    tags = read_think_tags(option)
    added = tokenizer.get_added_vocab()
    tokens = [tag for tag in THINK_TAGS if tag in added]
    if option == TEXT and tokens:
        if not tokenizer.is_fast:
            raise ModelError(
                f"{type(tokenizer).__name__} is a tokenizer written in Python, whose tokens {' and '.join(tokens)} "
                "cannot become plain text; set think_tags to 'tokenizer', or to a pair of tags that are no tokens"
            )
        _rename_tokens(tokenizer, {tag: f"<|unused_{added[tag]}|>" for tag in tokens})
    return tags


def opens_thinking(tokenizer: Any, prompt_ids: Sequence[int], tags: tuple[str, str]) -> bool:
    """Return whether a prompt ends by opening the thinking part, so that its completion begins inside."""
    return ends_in_open_thinking(tokenizer.decode(list(prompt_ids[-_TAIL:])), tags)


def check_think_tags(tokenizer: Any, tags: tuple[str, str] = THINK_TAGS, otherwise: str = "") -> None:
    """Refuse a tokenizer under which no completion could have the format that is rewarded.

    Args:
        tokenizer: of the policy.
        tags: what opens and what closes the thinking part.
        otherwise: what else can be done about it, as the end of a sentence.

    Raises:
        ModelError: it treats a tag as special, so that decoding drops it.
    """
    special = {str(token.content) for token in tokenizer.added_tokens_decoder.values() if token.special}
    hidden = set(tags) & {*tokenizer.all_special_tokens, *special}
    if hidden:
        raise ModelError(
            f"the tokenizer treats {' and '.join(sorted(hidden))} as special, so decoding drops them and no "
            "completion could earn the format reward; make them ordinary added tokens (special=False), write them as "
            f"plain text (think_tags: text){otherwise}"
        )


def spell_usual_tags(text: str, tags: tuple[str, str]) -> str:
    """Return a response with `<think>` and `</think>` in the place of other tags, for those who know no others."""
    for own, usual in zip(tags, THINK_TAGS, strict=True):
        text = text.replace(own, usual)
    return text


def _rename_tokens(tokenizer: Any, names: dict[str, str]) -> None:
    from tokenizers import Tokenizer

    before = tokenizer.get_added_vocab()
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    for token in state["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    # Some vocabularies list added tokens too.
    vocabulary: Any = state["model"].get("vocab")
    if isinstance(vocabulary, dict):
        own = cast("dict[str, int]", vocabulary)
        state["model"]["vocab"] = {names.get(text, text): number for text, number in own.items()}
    elif vocabulary is not None:
        state["model"]["vocab"] = [[names.get(text, text), score] for text, score in vocabulary]
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.extra_special_tokens = [token for token in tokenizer.extra_special_tokens if token not in names]
    kept = {names.get(text, text): number for text, number in before.items()}
    if tokenizer.get_added_vocab() != kept or any(
        tokenizer.decode(tokenizer.encode(tag, add_special_tokens=False)).strip() != tag for tag in names
    ):
        raise ModelError(
            f"under {type(tokenizer).__name__}, {' and '.join(names)} cannot become plain text; set think_tags to "
            "'tokenizer', or to a pair of tags that are no tokens"
        )
