"""Aya Vision and Cohere 2 Vision: padding by default, and a language model that names a scale of its logits."""

from __future__ import annotations

from typing import Any

from tiny_models.tokens import text_options, tiny_tokenizer

MARKERS = (
    "<image>",
    "<|START_OF_IMG|>",
    "<|END_OF_IMG|>",
    "<|IMG_PATCH|>",
    "<|IMG_LINE_BREAK|>",
    "TILE_GLOBAL",
    *(f"TILE_{tile}" for tile in range(1, 4)),
)


def _text(tokenizer: Any):
    from transformers import Cohere2Config

    return Cohere2Config(
        **text_options(tokenizer, sliding_window=64, layer_types=["sliding_attention", "full_attention"]),
        logit_scale=0.25,
    )


def _vision():
    from transformers import SiglipVisionConfig

    return SiglipVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=7
    )


def build_aya_vision():
    from transformers import (
        AyaVisionConfig,
        AyaVisionForConditionalGeneration,
        AyaVisionProcessor,
        GotOcr2ImageProcessor,
    )

    tokenizer = tiny_tokenizer(MARKERS, (), "<image>", "<BOS_TOKEN>")
    config = AyaVisionConfig(
        vision_config=_vision(),
        text_config=_text(tokenizer),
        image_token_index=tokenizer.convert_tokens_to_ids("<|IMG_PATCH|>"),
        tie_word_embeddings=True,
    )
    processor = AyaVisionProcessor(
        image_processor=GotOcr2ImageProcessor(
            size={"height": 28, "width": 28}, crop_to_patches=True, min_patches=1, max_patches=2
        ),
        tokenizer=tokenizer,
        patch_size=7,
        img_size=28,
        downsample_factor=2,
        chat_template=tokenizer.chat_template,
    )
    return AyaVisionForConditionalGeneration(config), processor


def build_cohere2_vision():
    from transformers import (
        Cohere2VisionConfig,
        Cohere2VisionForConditionalGeneration,
        Cohere2VisionImageProcessor,
        Cohere2VisionProcessor,
    )

    roles = (
        ("image_token", "<|IMG_PATCH|>"),
        ("boi_token", "<|START_OF_IMG|>"),
        ("eoi_token", "<|END_OF_IMG|>"),
        ("img_line_break_token", "<|IMG_LINE_BREAK|>"),
    )
    tokenizer = tiny_tokenizer(MARKERS, roles, "<|IMG_PATCH|>", "<BOS_TOKEN>")
    config = Cohere2VisionConfig(
        vision_config=_vision(),
        text_config=_text(tokenizer),
        image_token_id=tokenizer.convert_tokens_to_ids("<|IMG_PATCH|>"),
        alignment_intermediate_size=64,
        tie_word_embeddings=True,
    )
    processor = Cohere2VisionProcessor(
        image_processor=Cohere2VisionImageProcessor(
            size={"height": 28, "width": 28}, patch_size=2, min_patches=1, max_patches=2
        ),
        tokenizer=tokenizer,
        chat_template=tokenizer.chat_template,
    )
    return Cohere2VisionForConditionalGeneration(config), processor
