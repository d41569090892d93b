"""InternVL: an image is cut into tiles, and all tiles of a batch lie in one row of `pixel_values`."""

from __future__ import annotations

from tiny_models.tokens import EXPERTS, text_options, tiny_tokenizer

TOKENS_PER_TILE = 4  # 4 x 4 patches, four of which become one token


def build_internvl(make_text_config=None):
    from transformers import (
        GotOcr2ImageProcessor,
        InternVLConfig,
        InternVLForConditionalGeneration,
        InternVLProcessor,
        InternVLVideoProcessor,
        InternVLVisionConfig,
        Qwen2Config,
    )

    roles = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tokenizer = tiny_tokenizer(tuple(roles.values()), tuple(roles.items()), "<IMG_CONTEXT>\n")
    vision = InternVLVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=7
    )
    config = InternVLConfig(
        vision_config=vision,
        text_config=(make_text_config or Qwen2Config)(**text_options(tokenizer)),
        image_token_id=tokenizer.context_image_token_id,
        image_seq_length=TOKENS_PER_TILE,
        tie_word_embeddings=True,
    )
    processor = InternVLProcessor(
        # As in the published checkpoints, the image processor's own default is one tile; it is the processor that
        # asks for more.
        image_processor=GotOcr2ImageProcessor(size={"height": 28, "width": 28}, crop_to_patches=False, max_patches=4),
        tokenizer=tokenizer,
        video_processor=InternVLVideoProcessor(size={"height": 28, "width": 28}),
        image_seq_length=TOKENS_PER_TILE,
        chat_template=tokenizer.chat_template,
    )
    return InternVLForConditionalGeneration(config), processor


def build_internvl_qwen3():
    """InternVL 3.5 over Qwen3."""
    from transformers import Qwen3Config

    return build_internvl(lambda **options: Qwen3Config(**options, head_dim=8))


def build_internvl_moe():
    """InternVL 3.5 over a Qwen3 of experts."""
    from transformers import Qwen3MoeConfig

    return build_internvl(lambda **options: Qwen3MoeConfig(**options, head_dim=8, **EXPERTS))


def build_internvl_gpt_oss():
    """InternVL 3.5 over gpt-oss, whose attention has sinks and whose first layer slides."""
    from transformers import GptOssConfig

    rope = {"rope_type": "default", "rope_theta": 10000.0}
    own = {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 12, "rope_parameters": rope}
    return build_internvl(lambda **options: GptOssConfig(**options, head_dim=8, **own))
