"""Qwen2-VL to Qwen3.5, whose positions have three axes (M-RoPE)."""

from __future__ import annotations

from tiny_models.tokens import EXPERTS, sliding, text_options, tiny_tokenizer

ROPE = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}


def _marker_ids() -> dict[str, int]:
    tokenizer = tiny_tokenizer()
    return {
        "image_token_id": tokenizer.image_token_id,
        "video_token_id": tokenizer.video_token_id,
        "vision_start_token_id": tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        "vision_end_token_id": tokenizer.convert_tokens_to_ids("<|vision_end|>"),
    }


def _make_processor(processor_class: type, patch_size: int):
    from transformers import Qwen2VLImageProcessor
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    image_processor = Qwen2VLImageProcessor(
        patch_size=patch_size, merge_size=2, min_pixels=4 * patch_size**2, max_pixels=64 * patch_size**2
    )
    return processor_class(
        image_processor=image_processor,
        tokenizer=tiny_tokenizer(),
        video_processor=Qwen2VLVideoProcessor(patch_size=patch_size, merge_size=2),
        chat_template=tiny_tokenizer().chat_template,
    )


def build_qwen2_vl():
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration, Qwen2VLProcessor

    config = Qwen2VLConfig(
        text_config=text_options(tiny_tokenizer(), rope_parameters=dict(ROPE)),
        # Here hidden_size is the width of what comes out, not of the vision layers.
        vision_config={"depth": 2, "embed_dim": 32, "hidden_size": 32, "mlp_ratio": 2, "num_heads": 2},
        tie_word_embeddings=True,
        **_marker_ids(),
    )
    return Qwen2VLForConditionalGeneration(config), _make_processor(Qwen2VLProcessor, 14)


def build_qwen2_5_vl(**text_extra: object):
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

    config = Qwen2_5_VLConfig(
        text_config=text_options(tiny_tokenizer(), rope_parameters=dict(ROPE), **text_extra),
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 32,
            "patch_size": 14,
            "window_size": 56,
            "fullatt_block_indexes": [1],
        },
        tie_word_embeddings=True,
        **_marker_ids(),
    )
    return Qwen2_5_VLForConditionalGeneration(config), _make_processor(Qwen2_5_VLProcessor, 14)


def build_qwen2_5_vl_sliding():
    """Qwen2.5-VL whose language model has a layer with a window shorter than any prompt."""
    return build_qwen2_5_vl(**sliding(12))


def _make_parts_of_qwen3() -> dict[str, object]:
    return {
        "vision_config": {
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 32,
            "patch_size": 16,
            "num_position_embeddings": 16,
        },
        "tie_word_embeddings": True,
        **_marker_ids(),
    }


def build_qwen3_vl():
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration, Qwen3VLProcessor

    parts = _make_parts_of_qwen3()
    parts["vision_config"] |= {"deepstack_visual_indexes": [0]}
    text = text_options(tiny_tokenizer(), head_dim=8, rope_parameters={**ROPE, "mrope_interleaved": True})
    config = Qwen3VLConfig(text_config=text, **parts)
    return Qwen3VLForConditionalGeneration(config), _make_processor(Qwen3VLProcessor, 16)


def build_qwen3_vl_moe():
    from transformers import Qwen3VLMoeConfig, Qwen3VLMoeForConditionalGeneration, Qwen3VLProcessor

    parts = _make_parts_of_qwen3()
    parts["vision_config"] |= {"deepstack_visual_indexes": [0]}
    text = text_options(tiny_tokenizer(), head_dim=8, rope_parameters={**ROPE, "mrope_interleaved": True}, **EXPERTS)
    config = Qwen3VLMoeConfig(text_config=text, **parts)
    return Qwen3VLMoeForConditionalGeneration(config), _make_processor(Qwen3VLProcessor, 16)


def _options_of_qwen3_5() -> dict[str, object]:
    return text_options(
        tiny_tokenizer(),
        head_dim=16,
        # A quarter of each head is rotated.
        rope_parameters={**ROPE, "mrope_section": [1, 1, 0], "mrope_interleaved": True, "partial_rotary_factor": 0.25},
        layer_types=["linear_attention", "full_attention"],
        linear_key_head_dim=8,
        linear_value_head_dim=8,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
    )


def build_qwen3_5():
    from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration, Qwen3VLProcessor

    config = Qwen3_5Config(text_config=_options_of_qwen3_5(), **_make_parts_of_qwen3())
    return Qwen3_5ForConditionalGeneration(config), _make_processor(Qwen3VLProcessor, 16)


def build_qwen3_5_moe():
    from transformers import Qwen3_5MoeConfig, Qwen3_5MoeForConditionalGeneration, Qwen3VLProcessor

    text = {**_options_of_qwen3_5(), **EXPERTS, "shared_expert_intermediate_size": 32}
    config = Qwen3_5MoeConfig(text_config=text, **_make_parts_of_qwen3())
    return Qwen3_5MoeForConditionalGeneration(config), _make_processor(Qwen3VLProcessor, 16)
