"""Gemma3: tokens of one image see each other both ways, and most layers see a window only."""

from __future__ import annotations

import copy

import torch
from tokenizers import AddedToken

from tiny_models.tokens import text_options, tiny_tokenizer

TOKENS_PER_IMAGE = 4
WINDOW = 16  # shorter than any prompt


def build_gemma3():
    from transformers import (
        Gemma3Config,
        Gemma3ForConditionalGeneration,
        Gemma3ImageProcessor,
        Gemma3Processor,
        Gemma3TextConfig,
        SiglipVisionConfig,
    )

    roles = {"image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"}
    tokenizer = copy.deepcopy(tiny_tokenizer(tuple(roles.values()), tuple(roles.items()), "<start_of_image>", "<bos>"))
    # As published: an image's own newlines become one token with those beside it.
    tokenizer.add_tokens([AddedToken("\n" * count, normalized=False) for count in (1, 2, 3, 4)])
    text = text_options(
        tokenizer,
        head_dim=8,
        query_pre_attn_scalar=8,
        sliding_window=WINDOW,
        layer_types=["sliding_attention", "full_attention"],
    )
    vision = SiglipVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=7
    )
    config = Gemma3Config(
        text_config=Gemma3TextConfig(**text),
        vision_config=vision,
        mm_tokens_per_image=TOKENS_PER_IMAGE,
        image_token_index=tokenizer.image_token_id,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        tie_word_embeddings=True,
    )
    processor = Gemma3Processor(
        image_processor=Gemma3ImageProcessor(size={"height": 28, "width": 28}),
        tokenizer=tokenizer,
        image_seq_length=TOKENS_PER_IMAGE,
        chat_template=tokenizer.chat_template,
    )
    model = Gemma3ForConditionalGeneration(config)
    # transformers starts it at zero, and the model would see nothing.
    torch.nn.init.normal_(model.model.multi_modal_projector.mm_input_projection_weight)
    return model, processor
