"""Random models of Qwen2.5-VL's configuration class, from one that fits two CPU cores to the published shapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.texts import train_tokenizer

PATCH, MERGE = 14, 2
PIXELS_PER_TOKEN_SIDE = PATCH * MERGE


@dataclass(frozen=True, slots=True)
class Shape:
    """Measures of a model. The small ones keep the proportions of Qwen2.5-VL-3B where these can be kept."""

    vocabulary: int
    width: int
    mlp: int
    layers: int
    heads: int
    key_heads: int
    rope_sections: tuple[int, int, int]
    vision_width: int
    vision_mlp: int
    vision_layers: int
    vision_heads: int
    vision_full_layers: tuple[int, ...]
    tied: bool = True
    dtype: torch.dtype = torch.float32


SHAPES = {
    "10m": Shape(8192, 256, 1376, 6, 8, 2, (4, 6, 6), 160, 432, 5, 4, (2, 4)),
    "60m": Shape(32768, 512, 2752, 7, 8, 2, (8, 12, 12), 320, 864, 6, 4, (2, 5)),
    "3b": Shape(
        151936, 2048, 11008, 36, 16, 2, (16, 24, 24), 1280, 3420, 32, 16, (7, 15, 23, 31), dtype=torch.bfloat16
    ),
    "7b": Shape(
        152064,
        3584,
        18944,
        28,
        28,
        4,
        (16, 24, 24),
        1280,
        3420,
        32,
        16,
        (7, 15, 23, 31),
        tied=False,
        dtype=torch.bfloat16,
    ),
    # For the tests of the benchmarks alone: it answers at once and says nothing about speed.
    "test": Shape(1024, 32, 64, 2, 4, 2, (1, 1, 2), 32, 64, 2, 2, (1,)),
}


def build_model(name: str, device: str = "cpu") -> tuple[Any, Any]:
    """Return a random model of the shape `name` in evaluation mode, and a processor for it."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, set_seed

    shape = SHAPES[name]
    processor = build_processor()
    tokenizer = processor.tokenizer
    if len(tokenizer) > shape.vocabulary:
        raise ValueError(f"the tokenizer has {len(tokenizer)} tokens, the model {name} only {shape.vocabulary}")
    text: dict[str, Any] = {
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.width,
        "intermediate_size": shape.mlp,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.key_heads,
        "rope_parameters": {
            "rope_type": "default",
            "mrope_section": list(shape.rope_sections),
            "rope_theta": 1000000.0,
        },
        "max_position_embeddings": 32768,
        # Large enough that what a random model answers depends on the image and on the response.
        "initializer_range": shape.width**-0.5,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision: dict[str, Any] = {
        "depth": shape.vision_layers,
        "hidden_size": shape.vision_width,
        "intermediate_size": shape.vision_mlp,
        "num_heads": shape.vision_heads,
        "out_hidden_size": shape.width,
        "patch_size": PATCH,
        "spatial_merge_size": MERGE,
        "window_size": 112,
        "fullatt_block_indexes": list(shape.vision_full_layers),
        "initializer_range": shape.vision_width**-0.5,
    }
    marks = {
        f"{name}_token_id": tokenizer.convert_tokens_to_ids(token)
        for name, token in (
            ("image", "<|image_pad|>"),
            ("video", "<|video_pad|>"),
            ("vision_start", "<|vision_start|>"),
            ("vision_end", "<|vision_end|>"),
        )
    }
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=shape.tied, **marks)
    set_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(shape.dtype)  # a 7B model made in float32 first would need twice the memory
    try:
        with torch.device(device):
            model: Any = Qwen2_5_VLForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(before)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model.eval(), processor


def build_processor() -> Any:
    """Return a processor that leaves images at the size they come in."""
    from transformers import Qwen2_5_VLProcessor, Qwen2VLImageProcessor
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    tokenizer = train_tokenizer()
    make_processor: Any = Qwen2_5_VLProcessor
    return make_processor(
        image_processor=Qwen2VLImageProcessor(
            patch_size=PATCH,
            merge_size=MERGE,
            min_pixels=PIXELS_PER_TOKEN_SIDE**2,
            max_pixels=16384 * PIXELS_PER_TOKEN_SIDE**2,
        ),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(patch_size=PATCH, merge_size=MERGE),
        chat_template=tokenizer.chat_template,
    )


def count_parameters(model: torch.nn.Module) -> int:
    """Return how many parameters a model has, shared ones counted once."""
    return sum(parameter.numel() for parameter in model.parameters())
