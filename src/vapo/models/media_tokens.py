"""Special tokens that stand for images, videos or sounds, or open, close or part them.

A policy must never sample one of them: the next forward pass would look for features that do not exist, or would take
what follows for a part of an image. No family is known by name. Its configuration, its processor and its tokenizer
name such tokens, and its processor writes them where a prompt shows an image.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, cast

from PIL import Image

from vapo.models.images import apply_chat_template

_MEDIA = (
    r"image|img|video|audio|(?<![a-z])(?:vision|visual|media|frame|tile|patch|slice|thumbnail|speech)|row_?\d+_col"
)
_IN_TEXT = re.compile(_MEDIA, re.IGNORECASE)
_IN_NAME = re.compile(rf"{_MEDIA}|(?<![a-z])[be]o[iva]_", re.IGNORECASE)
_NAMES_TOKEN = re.compile(r"_token(?:_ids?|_index|_indices)?$")
_SHOWN = (448, 224)  # in pixels; large and long enough to be cut into tiles


def find_vision_token_ids(config: Any, processing_class: Any) -> tuple[int, ...]:
    """Return the ids of all tokens that no policy may sample, sorted.

    Args:
        config: of the model; None where it is elsewhere.
        processing_class: its processor, or its tokenizer alone.
    """
    tokenizer = getattr(processing_class, "tokenizer", processing_class)
    added = cast("Mapping[int, Any]", tokenizer.added_tokens_decoder)
    found = {i for i, token in added.items() if _IN_TEXT.search(str(token.content))}
    found |= {i for i in _find_named(tokenizer, tokenizer.special_tokens_map) if i in added}
    size = len(tokenizer)
    if config is not None:
        found |= set(_walk(config.to_dict()))
        size = max(size, config.get_text_config().vocab_size)
    if tokenizer is not processing_class:
        found |= {i for i in _find_named(tokenizer, cast("dict[str, Any]", vars(processing_class))) if i in added}
        if getattr(processing_class, "chat_template", None) or tokenizer.chat_template:
            found |= _find_written(processing_class)
    return tuple(sorted({int(i) for i in found if 0 <= i < size} - {tokenizer.eos_token_id}))


def _walk(config: Mapping[Any, Any]) -> Iterator[int]:
    """Yield the ids that a configuration, or one within it, keeps under a name of such a token."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _walk(cast("Mapping[Any, Any]", value))
        elif _is_media_name(str(name)):
            values = cast("list[Any]", value if isinstance(value, (list, tuple)) else [value])
            yield from (one for one in values if isinstance(one, int) and not isinstance(one, bool))


def _find_named(tokenizer: Any, named: Mapping[str, Any]) -> Iterator[int]:
    for name, value in named.items():
        content = value if isinstance(value, str) else getattr(value, "content", None)
        if _is_media_name(name) and isinstance(content, str):
            token = tokenizer.convert_tokens_to_ids(content)
            if token is not None:
                yield int(token)


def _is_media_name(name: str) -> bool:
    return bool(_NAMES_TOKEN.search(name) and _IN_NAME.search(name))


@lru_cache(maxsize=4)
def _find_written(processor: Any) -> frozenset[int]:
    """Return the added tokens that a processor writes into a prompt for an image, and for no text."""
    tokenizer, text = processor.tokenizer, {"type": "text", "text": "?"}
    shown = {"type": "image", "image": Image.new("RGB", _SHOWN)}
    with_image = apply_chat_template(processor, [{"role": "user", "content": [shown, text]}])["input_ids"][0].tolist()
    without = processor.apply_chat_template([{"role": "user", "content": [text]}], tokenize=False)
    # The first text begins with whatever the tokenizer puts before every one.
    others = {*tokenizer.encode(without, add_special_tokens=False), *tokenizer.encode("?")}
    added = tokenizer.added_tokens_decoder
    # White space around an image is text: Gemma 3 has tokens of several newlines.
    return frozenset(i for i in with_image if i in added and i not in others and str(added[i].content).strip())
