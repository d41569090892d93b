"""Tokens that stand for images in a vision-language model's text.

Nothing here names a family: every family of transformers 5 keeps the id of its image token in the configuration.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from vapo.errors import ModelError

TOKEN_TYPE_INPUTS = ("mm_token_type_ids", "token_type_ids")


def find_image_token_id(config: Any) -> int:
    """Return the id of the token whose places the image features take.

    Raises:
        ModelError: the configuration names none, so the model cannot be probed.
    """
    image_token_id = getattr(config, "image_token_id", None)
    if image_token_id is None:
        raise ModelError(
            f"{type(config).__name__} names no image_token_id, so this model's images cannot be found in its "
            "prompts; use a vision-language model of transformers 5 (Qwen2.5-VL, Qwen3-VL, LLaVA, ...)"
        )
    return int(image_token_id)


def find_token_type_name(module: Any, processor: Any) -> str | None:
    """Return the name of the input that tells image tokens from text (see `token_types`), or None if there is none.

    Qwen's positions and Gemma3's two-way attention between the tokens of an image depend on it.

    Args:
        module: what `find_feature_module` returned.
        processor: the processor, which must make that input too.
    """
    accepted = inspect.signature(module.forward).parameters
    names = [name for name in TOKEN_TYPE_INPUTS if name in accepted and name in processor.model_input_names]
    return names[0] if names else None


def token_types(ids: Iterable[int], image_token_id: int) -> list[int]:
    """Return 1 for image tokens and 0 for text: what `mm_token_type_ids` and `token_type_ids` hold."""
    return [int(i == image_token_id) for i in ids]


def correct_token_types(inputs: Mapping[str, Any], input_ids: torch.Tensor, image_token_id: int) -> dict[str, Any]:
    """Return `inputs` with token types that fit `input_ids`, where there are token types at all.

    TRL 1.16 tokenises a prompt anew to get them, and then a tokenizer that begins every text with a token (Gemma3's)
    adds it before the one that the chat template wrote. Every type would be one token late.
    """
    correct = (input_ids == image_token_id).long()
    return {k: correct if k in TOKEN_TYPE_INPUTS and v is not None else v for k, v in inputs.items()}
