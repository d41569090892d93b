"""DeepSeek-VL and Janus: as many tokens for every image, and processors that return tensors by default."""

from __future__ import annotations

from tiny_models.tokens import text_options, tiny_tokenizer

ROLES = (
    ("image_token", "<image_placeholder>"),
    ("boi_token", "<begin_of_image>"),
    ("eoi_token", "<end_of_image>"),
)
MARKERS = tuple(token for _, token in ROLES)


def build_deepseek_vl():
    from transformers import (
        DeepseekVLConfig,
        DeepseekVLForConditionalGeneration,
        DeepseekVLImageProcessor,
        DeepseekVLProcessor,
        LlamaConfig,
        SiglipVisionConfig,
    )

    tokenizer = tiny_tokenizer(MARKERS, ROLES, "<image_placeholder>", "<bos>")
    vision = SiglipVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
    )
    config = DeepseekVLConfig(
        text_config=LlamaConfig(**text_options(tokenizer)),
        vision_config=vision,
        image_token_id=tokenizer.image_token_id,
        tie_word_embeddings=True,
    )
    processor = DeepseekVLProcessor(
        image_processor=DeepseekVLImageProcessor(size={"height": 28, "width": 28}),
        tokenizer=tokenizer,
        num_image_tokens=4,
        chat_template=tokenizer.chat_template,
    )
    return DeepseekVLForConditionalGeneration(config), processor


def build_janus():
    from transformers import (
        JanusConfig,
        JanusForConditionalGeneration,
        JanusImageProcessor,
        JanusProcessor,
        LlamaConfig,
    )
    from transformers.models.janus.configuration_janus import JanusVisionConfig, JanusVQVAEConfig

    tokenizer = tiny_tokenizer(MARKERS, ROLES, "<image_placeholder>", "<bos>")
    vision = JanusVisionConfig(
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
        mlp_ratio=2.0,
        projection_dim=32,
        num_image_tokens=4,
    )
    vq = JanusVQVAEConfig(
        num_embeddings=16,
        latent_channels=32,
        base_channels=32,
        channel_multiplier=(1,),
        num_res_blocks=1,
        num_patches=2,
        projection_dim=32,
        image_token_embed_dim=32,
    )
    config = JanusConfig(
        text_config=LlamaConfig(**text_options(tokenizer)),
        vision_config=vision,
        vq_config=vq,
        image_token_id=tokenizer.image_token_id,
        tie_word_embeddings=True,
    )
    processor = JanusProcessor(
        image_processor=JanusImageProcessor(size={"height": 28, "width": 28}),
        tokenizer=tokenizer,
        num_image_tokens=4,
        chat_template=tokenizer.chat_template,
    )
    return JanusForConditionalGeneration(config), processor
