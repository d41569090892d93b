"""What a processor makes of prompts, token by token: without padding, and understood before it is passed on.

Some processors pad the prompts of a batch on their own, and others fail on prompts of several lengths unless they are
told to pad. So prompts are always padded, and the attention mask says what to take away again.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from vapo.errors import ModelError
from vapo.models.vision_tokens import TOKEN_TYPE_INPUTS, find_image_token_id, token_types

PADDED = {"padding": True}
"""Options of a processor under which `strip_padding` can take its prompts apart."""

_IDS, _MASK = "input_ids", "attention_mask"
_TARGETS = "labels"  # no input: PaliGemma's processor makes what to train towards


def strip_padding(encoded: Mapping[str, Any], processor: Any) -> dict[str, Any]:
    """Return what a processor made of a batch, with ids, mask and whatever it made of each token as lists of lists.

    Args:
        encoded: lists or tensors; what the processor made of images stays as it is.
        processor: made them.

    Raises:
        ModelError: nothing tells padding from text.
    """
    if _MASK not in encoded:
        raise ModelError(
            f"{type(processor).__name__} returns no attention_mask, so padding cannot be told from text; add "
            "'attention_mask' to the model_input_names of its tokenizer"
        )
    seen = _list_rows(encoded[_MASK])

    def strip(value: Any) -> list[list[Any]]:
        rows = zip(_list_rows(value), seen, strict=True)
        return [[own for own, kept in zip(row, mask, strict=True) if kept] for row, mask in rows]

    stripped = {name: strip(encoded[name]) for name in list_token_inputs(encoded, processor)}
    return {**encoded, **stripped}


def list_token_inputs(encoded: Mapping[str, Any], processor: Any) -> list[str]:
    """Return the names of what a processor made of each token, the ids among them."""
    of_images = set(processor.image_processor.model_input_names)
    lengths = _measure(encoded[_IDS])
    return [name for name, value in encoded.items() if name not in of_images and _measure(value) == lengths]


def check_token_inputs(encoded: Mapping[str, Any], module: Any, processor: Any) -> None:
    """Refuse prompts with an input of each token whose values for responses and questions nobody here could know.

    Args:
        encoded: a batch without padding.
        module: what `find_feature_module` returned.
        processor: made them.

    Raises:
        ModelError: an input that the model takes is not 1 for image tokens and 0 for text, or is none of these types.
    """
    accepted = inspect.signature(module.forward).parameters
    ids = _list_rows(encoded[_IDS])
    for name in set(list_token_inputs(encoded, processor)) - {_IDS, _MASK, _TARGETS}:
        if name not in accepted:
            continue
        types = [token_types(row, find_image_token_id(module.config)) for row in ids]
        if name not in TOKEN_TYPE_INPUTS or _list_rows(encoded[name]) != types:
            raise ModelError(
                f"{type(processor).__name__} gives each token of a prompt an input {name!r} other than 1 for image "
                "tokens and 0 for text; what it should be for tokens of responses and of questions is not known, so "
                f"{type(module).__name__} cannot be used; use a model of another family"
            )


def _list_rows(value: Any) -> list[Any]:
    return (
        value.tolist()
        if hasattr(value, "tolist")
        else [_list_rows(row) if hasattr(row, "tolist") else row for row in value]
    )


def _measure(value: Any) -> list[int] | None:
    """Return the length of each row; None for what has no rows."""
    rows: Sequence[Any] = value if hasattr(value, "__len__") and getattr(value, "ndim", 2) > 1 else ()
    return [len(row) for row in rows] if len(rows) and all(hasattr(row, "__len__") for row in rows) else None
