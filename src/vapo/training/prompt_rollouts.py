"""TRL's rollouts: prompts without padding, and image features among embeddings of their own precision."""

from __future__ import annotations

from typing import Any

from trl import GRPOTrainer

from vapo.models.image_features import features_like_embeddings, find_feature_module
from vapo.models.images import FAILED_PROMPT
from vapo.models.policy.inference import explaining_failures
from vapo.models.prompt_tokens import PADDED, check_token_inputs, strip_padding
from vapo.models.replaced_method import replaced_method
from vapo.training.trl_limits import check_image_inputs


class RollsOutPrompts(GRPOTrainer):
    """Takes padding out of prompts, which TRL 1.16 takes for text, and makes prompts of several lengths possible."""

    model: Any

    def _generate_single_turn(self, prompt_ids: Any, images: Any, multimodal_fields: Any, *rest: Any, **more: Any):
        check_image_inputs(self.processing_class, multimodal_fields)
        module = find_feature_module(self.model)
        with features_like_embeddings(module), explaining_failures(type(module).__name__):
            return super()._generate_single_turn(prompt_ids, images, multimodal_fields, *rest, **more)

    def _tokenize_prompts(self, prompts: list[Any]) -> tuple[Any, ...]:
        processor: Any = self.processing_class
        apply = processor.apply_chat_template

        def apply_chat_template(*args: Any, **options: Any) -> Any:
            if not options.get("tokenize"):
                return apply(*args, **options)
            # Tensors: Ovis2's processor takes lists apart as such.
            given = {**options.get("processor_kwargs", {}), **PADDED, "return_tensors": "pt"}
            with explaining_failures(type(processor).__name__, FAILED_PROMPT):
                encoded = apply(*args, **{**options, "processor_kwargs": given})
            return strip_padding(encoded, processor)

        with replaced_method(processor, "apply_chat_template", apply_chat_template):
            ids, images, inputs = super()._tokenize_prompts(prompts)
        check_token_inputs({"input_ids": ids, **inputs}, find_feature_module(self.model), processor)
        return ids, images, inputs
