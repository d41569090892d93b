"""GLM-4.1V and GLM-4.5V: three axes of positions, and markers of their own around images."""

from __future__ import annotations

from tiny_models.tokens import text_options, tiny_tokenizer

ROPE = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0, "partial_rotary_factor": 0.5}
VISION = {
    "depth": 2,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_heads": 2,
    "out_hidden_size": 32,
    "patch_size": 14,
    "image_size": 56,
}


def _tokenizer():
    roles = (("image_token", "<|image|>"), ("video_token", "<|video|>"))
    markers = ("<|image|>", "<|video|>", "<|begin_of_image|>", "<|end_of_image|>")
    markers += ("<|begin_of_video|>", "<|end_of_video|>")
    return tiny_tokenizer(markers, roles, "<|begin_of_image|><|image|><|end_of_image|>")


def _marker_ids() -> dict[str, int]:
    find = _tokenizer().convert_tokens_to_ids
    return {
        "image_token_id": find("<|image|>"),
        "video_token_id": find("<|video|>"),
        "image_start_token_id": find("<|begin_of_image|>"),
        "image_end_token_id": find("<|end_of_image|>"),
        "video_start_token_id": find("<|begin_of_video|>"),
        "video_end_token_id": find("<|end_of_video|>"),
    }


def _make_processor():
    from transformers import Glm4vImageProcessor, Glm4vProcessor, Glm4vVideoProcessor

    size = {"shortest_edge": 2 * 4 * 14**2, "longest_edge": 2 * 64 * 14**2}  # of two frames
    return Glm4vProcessor(
        image_processor=Glm4vImageProcessor(size=size),
        tokenizer=_tokenizer(),
        video_processor=Glm4vVideoProcessor(size=size),
        chat_template=_tokenizer().chat_template,
    )


def build_glm4v():
    from transformers import Glm4vConfig, Glm4vForConditionalGeneration

    text = text_options(_tokenizer(), rope_parameters={**ROPE, "partial_rotary_factor": 1.0})
    config = Glm4vConfig(text_config=text, vision_config=VISION, tie_word_embeddings=True, **_marker_ids())
    return Glm4vForConditionalGeneration(config), _make_processor()


def build_glm4v_moe():
    from transformers import Glm4vMoeConfig, Glm4vMoeForConditionalGeneration

    experts = {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
    text = text_options(_tokenizer(), head_dim=16, rope_parameters={**ROPE, "mrope_section": [1, 1, 2]}, **experts)
    config = Glm4vMoeConfig(text_config=text, vision_config=VISION, tie_word_embeddings=True, **_marker_ids())
    return Glm4vMoeForConditionalGeneration(config), _make_processor()
