"""A sample as a prompt of one policy: the same conversation, and so the same tokens, as in training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trl.data_utils import prepare_multimodal_messages

from vapo.data.prompts import build_messages
from vapo.errors import ModelError
from vapo.models.image_features import find_feature_module
from vapo.models.images import ImageInputs, apply_chat_template, take_image_inputs
from vapo.models.plain_text import make_escaper
from vapo.models.policy.checkpoint import Policy, adopt_chat_template
from vapo.models.prompt_tokens import check_token_inputs, list_token_inputs
from vapo.types import Sample


@dataclass(frozen=True, slots=True)
class Prompt:
    """A sample's question as the model reads it: token ids with the places of its images, and the images."""

    sample: Sample
    ids: tuple[int, ...]
    images: ImageInputs


class PromptWriter:
    """Write samples as prompts of one policy, as the trainer writes them.

    Args:
        policy: the model and its processor.
        system_prompt: text of a system message; None for none.

    Raises:
        ModelError: the policy has no chat template.
    """

    def __init__(self, policy: Policy, system_prompt: str | None = None) -> None:
        adopt_chat_template(policy.processor, policy.name)
        self._processor = policy.processor
        self._module = find_feature_module(policy.model)
        self._system_prompt = system_prompt
        self._escape = make_escaper(policy.processor)
        text_config = policy.model.config.get_text_config()
        self._context_tokens: int | None = getattr(text_config, "max_position_embeddings", None)

    def write(self, sample: Sample, *, room_for: int = 0) -> Prompt:
        """Return the prompt of a sample.

        Args:
            sample: the sample; its question's text cannot become special tokens.
            room_for: completion tokens that the model's context must still hold.

        Raises:
            DataError: the question's `<image>` places do not fit its images.
            ModelError: the context is too short, or the model asks something of each token that is not understood.
        """
        encoded = self.encode(sample)
        ids = tuple(encoded["input_ids"][0].tolist())
        if self._context_tokens is not None and len(ids) + room_for > self._context_tokens:
            raise ModelError(
                f"sample {sample.id!r}: its prompt has {len(ids)} tokens (images included), and with {room_for} "
                f"completion tokens it exceeds the model's context of {self._context_tokens}; use smaller images or "
                "lower max_completion_tokens"
            )
        return Prompt(sample, ids, take_image_inputs(encoded, list_token_inputs(encoded, self._processor)))

    def encode(self, sample: Sample) -> Mapping[str, Any]:
        """Return all that the processor makes of a sample's prompt. Raises as `write` does."""
        messages = build_messages(sample, self._system_prompt, self._escape)
        messages = prepare_multimodal_messages(messages, list(sample.images))
        encoded = apply_chat_template(self._processor, messages, add_generation_prompt=True)
        check_token_inputs(encoded, self._module, self._processor)
        return encoded
