"""Mistral 3, Pixtral and Ministral 3, whose images keep their shapes and are written in rows of tokens."""

from __future__ import annotations

from typing import Any

from tiny_models.tokens import text_options, tiny_tokenizer

MARKERS = ("[IMG]", "[IMG_BREAK]", "[IMG_END]")
PATCH = 14


def _parts(spatial_merge_size: int) -> tuple[Any, Any, Any]:
    from transformers import PixtralImageProcessor, PixtralProcessor, PixtralVisionConfig

    tokenizer = tiny_tokenizer(MARKERS, (), "[IMG]", "<s>")
    vision = PixtralVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=112,
        patch_size=PATCH,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    )
    image_processor = PixtralImageProcessor(
        size={"longest_edge": 56 * spatial_merge_size}, patch_size=PATCH * spatial_merge_size
    )
    processor = PixtralProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        patch_size=PATCH,
        spatial_merge_size=spatial_merge_size,
        chat_template=tokenizer.chat_template,
    )
    return tokenizer, vision, processor


def _build_mistral3(text_config: type, **text_extra: object):
    from transformers import Mistral3Config, Mistral3ForConditionalGeneration

    tokenizer, vision, processor = _parts(2)
    config = Mistral3Config(
        vision_config=vision,
        text_config=text_config(**text_options(tokenizer, head_dim=8, sliding_window=None, **text_extra)),
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
        spatial_merge_size=2,
        tie_word_embeddings=True,
    )
    return Mistral3ForConditionalGeneration(config), processor


def build_mistral3():
    from transformers import MistralConfig

    return _build_mistral3(MistralConfig)


def build_ministral3():
    """Mistral 3 over a language model that scales its queries by how far they are from the beginning."""
    from transformers import Ministral3Config

    rope = {
        "rope_type": "yarn",
        "rope_theta": 10000.0,
        "factor": 16.0,
        "original_max_position_embeddings": 16,
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
        "llama_4_scaling_beta": 0.5,
    }
    return _build_mistral3(Ministral3Config, rope_parameters=rope, max_position_embeddings=256, initializer_range=0.03)


def build_pixtral():
    from transformers import LlavaConfig, LlavaForConditionalGeneration, MistralConfig

    tokenizer, vision, processor = _parts(1)
    config = LlavaConfig(
        vision_config=vision,
        text_config=MistralConfig(**text_options(tokenizer, head_dim=8, sliding_window=None)),
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=True,
    )
    return LlavaForConditionalGeneration(config), processor
