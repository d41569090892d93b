"""Ovis 2: an image is a mixture of rows of a table, and markers around it have rows of that table too."""

from __future__ import annotations

from tiny_models.tokens import text_options, tiny_tokenizer

INDICATORS = ("<IMG_START>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>")
TOKENS_PER_TILE = 4  # 4 x 4 patches, four of which become one token


def build_ovis2():
    from transformers import (
        Ovis2Config,
        Ovis2ForConditionalGeneration,
        Ovis2ImageProcessor,
        Ovis2Processor,
        Ovis2VisionConfig,
        Qwen2Config,
    )

    tokenizer = tiny_tokenizer(("<image>", "<IMG_ATOM>", *INDICATORS), (), "<image>\n")
    text = Qwen2Config(**text_options(tokenizer))
    vision = Ovis2VisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=7,
        vocab_size=24,
        hidden_stride=2,
    )
    config = Ovis2Config(
        vision_config=vision,
        text_config=text,
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_ATOM>"),
        visual_indicator_token_ids=tokenizer.convert_tokens_to_ids(list(INDICATORS)),
        vocab_size=text.vocab_size,
        hidden_size=32,
        tie_word_embeddings=True,
    )
    processor = Ovis2Processor(
        image_processor=Ovis2ImageProcessor(
            size={"height": 28, "width": 28}, crop_to_patches=True, max_patches=4, use_covering_area_grid=False
        ),
        tokenizer=tokenizer,
        image_seq_length=TOKENS_PER_TILE,
        chat_template=tokenizer.chat_template,
    )
    return Ovis2ForConditionalGeneration(config), processor
