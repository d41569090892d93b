"""A prompt's images as tensors, made the way the family's own processor makes them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from vapo.models.policy.inference import explaining_failures
from vapo.models.prompt_tokens import PADDED, list_token_inputs, strip_padding
from vapo.models.vision_tokens import TOKEN_TYPE_INPUTS

if TYPE_CHECKING:
    from PIL.Image import Image

FAILED_PROMPT = "the text and the images of prompts"
"""What errors say that a processor failed on."""

TEXT_INPUTS = ("input_ids", "attention_mask", *TOKEN_TYPE_INPUTS)


@dataclass(frozen=True, slots=True)
class ImageInputs:
    """One prompt's images as the processor makes them (`pixel_values` and what goes with it)."""

    tensors: Mapping[str, torch.Tensor]

    def to(self, device: torch.device | str) -> ImageInputs:
        """Return the same inputs on `device`."""
        return ImageInputs({name: tensor.to(device) for name, tensor in self.tensors.items()})


def process_images(processor: Any, images: Sequence[Image]) -> ImageInputs:
    """Turn a prompt's images into tensors, once for all questions about them.

    The processor makes them as it does for a prompt. Its image processor alone would not do: some families' processors
    ask it for more than its own settings say (InternVL's for tiles), or rearrange what it returns.
    """
    content = [*({"type": "image", "image": image} for image in images), {"type": "text", "text": "?"}]
    conversation = [{"role": "user", "content": content}]
    encoded = apply_chat_template(processor, conversation)
    return take_image_inputs(encoded, list_token_inputs(encoded, processor))


def apply_chat_template(processor: Any, conversation: list[dict[str, Any]], **options: Any) -> Mapping[str, Any]:
    """Return what a processor makes of one conversation with images: tensors with a batch of one row."""
    with explaining_failures(type(processor).__name__, FAILED_PROMPT):
        encoded = processor.apply_chat_template(
            [conversation],
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            # Again among the processor's own options: before transformers 5.23, SmolVLM's processor warns on every
            # call that comes without any. From then on, it is the one above that counts.
            processor_kwargs={"return_tensors": "pt", **PADDED},
            **options,
        )
    stripped = strip_padding(encoded, processor)
    of_tokens = {name: torch.tensor(stripped[name]) for name in list_token_inputs(stripped, processor)}
    return {**stripped, **of_tokens}


def take_image_inputs(encoded: Mapping[str, Any], of_tokens: Collection[str] = TEXT_INPUTS) -> ImageInputs:
    """Return what a processor made of a prompt's images, without what it made of each token."""
    tensors = {name: value for name, value in encoded.items() if isinstance(value, torch.Tensor)}
    return ImageInputs({name: tensor for name, tensor in tensors.items() if name not in of_tokens})
