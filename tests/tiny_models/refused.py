"""PaliGemma and ERNIE 4.5 VL, which are refused: what they ask of tokens behind a prompt is not known."""

from __future__ import annotations

from tiny_models.tokens import text_options, tiny_tokenizer


def build_paligemma():
    """A model whose tokens of type 0, those of the prompt, see each other both ways."""
    from transformers import (
        GemmaConfig,
        PaliGemmaConfig,
        PaliGemmaForConditionalGeneration,
        PaliGemmaProcessor,
        SiglipImageProcessor,
        SiglipVisionConfig,
    )

    tokenizer = tiny_tokenizer(("<image>",), (("image_token", "<image>"),), "<image>", "<bos>")
    image_processor = SiglipImageProcessor(size={"height": 28, "width": 28})
    image_processor.image_seq_length = 4
    processor = PaliGemmaProcessor(
        image_processor=image_processor, tokenizer=tokenizer, chat_template=tokenizer.chat_template
    )
    vision = SiglipVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
        projection_dim=32,
    )
    config = PaliGemmaConfig(
        text_config=GemmaConfig(**text_options(tokenizer, head_dim=8)),
        vision_config=vision,
        image_token_index=tokenizer.image_token_id,
        projection_dim=32,
        hidden_size=32,
        tie_word_embeddings=True,
    )
    return PaliGemmaForConditionalGeneration(config), processor


def build_ernie():
    """A model that sends tokens to experts by a type that each of them is given."""
    from transformers import (
        Ernie4_5_VLMoeConfig,
        Ernie4_5_VLMoeForConditionalGeneration,
        Ernie4_5_VLMoeImageProcessor,
        Ernie4_5_VLMoeProcessor,
        Ernie4_5_VLMoeVideoProcessor,
    )

    roles = {
        "image_token": "<|IMAGE_PLACEHOLDER|>",
        "image_start_token": "<|IMAGE_START|>",
        "image_end_token": "<|IMAGE_END|>",
        "video_token": "<|VIDEO_PLACEHOLDER|>",
        "video_start_token": "<|VIDEO_START|>",
        "video_end_token": "<|VIDEO_END|>",
    }
    image = roles["image_start_token"] + roles["image_token"] + roles["image_end_token"]
    tokenizer = tiny_tokenizer(tuple(roles.values()), tuple(roles.items()), image)
    text = text_options(
        tokenizer,
        moe_intermediate_size=[32, 32],
        moe_k=2,
        moe_num_experts=4,
        moe_num_shared_experts=1,
        mlp_layer_types=["dense", "sparse"],
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]},
    )
    config = Ernie4_5_VLMoeConfig(
        text_config=text,
        vision_config={"depth": 1, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2},
        tie_word_embeddings=True,
        **{f"{name}_id": tokenizer.convert_tokens_to_ids(token) for name, token in roles.items()},
    )
    processor = Ernie4_5_VLMoeProcessor(
        image_processor=Ernie4_5_VLMoeImageProcessor(
            size={"shortest_edge": 28 * 28, "longest_edge": 56 * 56}, patch_size=14, merge_size=2
        ),
        tokenizer=tokenizer,
        video_processor=Ernie4_5_VLMoeVideoProcessor(),
        chat_template=tokenizer.chat_template,
    )
    return Ernie4_5_VLMoeForConditionalGeneration(config), processor
