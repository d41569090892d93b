"""Gemma 4: padding by default, patches with positions, and tokens of one image that see each other both ways."""

from __future__ import annotations

import torch

from tiny_models.tokens import text_options, tiny_tokenizer

TOKENS = {
    "image_token": "<|image|>",
    "boi_token": "<|image>",
    "eoi_token": "<image|>",
    "audio_token": "<|audio|>",
    "boa_token": "<|audio>",
    "eoa_token": "<audio|>",
}
PATCH = 4


def build_gemma4():
    from transformers import Gemma4Config, Gemma4ForConditionalGeneration, Gemma4Processor, Gemma4TextConfig
    from transformers.models.gemma4 import (
        feature_extraction_gemma4,
        image_processing_gemma4,
        video_processing_gemma4,
    )

    tokenizer = tiny_tokenizer((*TOKENS.values(), "<|video|>"), tuple(TOKENS.items()), "<|image|>", "<bos>")
    text = text_options(
        tokenizer,
        head_dim=8,
        global_head_dim=8,
        sliding_window=16,
        layer_types=["sliding_attention", "full_attention"],
        hidden_size_per_layer_input=0,
        use_bidirectional_attention="vision",
    )
    config = Gemma4Config(
        text_config=Gemma4TextConfig(**text),
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "patch_size": PATCH,
            "position_embedding_size": 256,
        },
        audio_config=None,
        video_token_id=tokenizer.convert_tokens_to_ids("<|video|>"),
        boi_token_id=tokenizer.boi_token_id,
        eoi_token_id=tokenizer.eoi_token_id,
        image_token_id=tokenizer.image_token_id,
        boa_token_id=tokenizer.boa_token_id,
        eoa_token_index=tokenizer.eoa_token_id,
        audio_token_id=tokenizer.audio_token_id,
        tie_word_embeddings=True,
    )
    processor = Gemma4Processor(
        feature_extractor=feature_extraction_gemma4.Gemma4AudioFeatureExtractor(),
        image_processor=image_processing_gemma4.Gemma4ImageProcessor(patch_size=PATCH, max_soft_tokens=70),
        tokenizer=tokenizer,
        video_processor=video_processing_gemma4.Gemma4VideoProcessor(patch_size=PATCH, max_soft_tokens=70),
        chat_template=tokenizer.chat_template,
    )
    model = Gemma4ForConditionalGeneration(config)
    # As made, a model adds ones to its patches and hardly sees them.
    torch.nn.init.normal_(model.model.vision_tower.patch_embedder.position_embedding_table, std=0.02)
    torch.nn.init.normal_(model.model.vision_tower.patch_embedder.input_proj.weight)
    torch.nn.init.normal_(model.model.embed_vision.embedding_projection.weight)
    return model, processor
