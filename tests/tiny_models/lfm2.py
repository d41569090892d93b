"""LFM2-VL: convolutions between attention layers, tiles of images, and patches with shapes of their own."""

from __future__ import annotations

from tiny_models.tokens import text_options, tiny_tokenizer

MARKERS = (
    "<image>",
    "<|image_start|>",
    "<|image_end|>",
    "<|img_thumbnail|>",
    *(f"<|img_row_{row}_col_{column}|>" for row in range(1, 3) for column in range(1, 3)),
)


def build_lfm2_vl():
    from transformers import (
        Lfm2Config,
        Lfm2VlConfig,
        Lfm2VlForConditionalGeneration,
        Lfm2VlImageProcessor,
        Lfm2VlProcessor,
        Siglip2VisionConfig,
    )

    tokenizer = tiny_tokenizer(MARKERS, (("image_token", "<image>"),), "<image>", "<|startoftext|>")
    vision = Siglip2VisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        patch_size=4,
        num_patches=64,
        vision_use_head=False,
    )
    text = text_options(
        tokenizer, layer_types=["conv", "full_attention"], conv_L_cache=3, block_auto_adjust_ff_dim=False
    )
    config = Lfm2VlConfig(
        vision_config=vision,
        text_config=Lfm2Config(**text),
        image_token_id=tokenizer.image_token_id,
        projector_hidden_size=32,
        tie_word_embeddings=True,
    )
    image_processor = Lfm2VlImageProcessor(
        tile_size=32,
        min_tiles=2,
        max_tiles=2,
        encoder_patch_size=4,
        min_image_tokens=4,
        max_image_tokens=16,
        max_num_patches=64,
    )
    processor = Lfm2VlProcessor(
        image_processor=image_processor, tokenizer=tokenizer, chat_template=tokenizer.chat_template
    )
    return Lfm2VlForConditionalGeneration(config), processor
