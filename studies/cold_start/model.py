"""The lab's vision-language model: LLaVA with a SigLIP tower and a Qwen2 text model, about one million parameters.

LLaVA is the family because its processor needs no torchvision, which CPU-only machines often cannot import. One
patch of the tower is one cell of the grid, so an image of 3 x 3 digits with its marks is 16 image tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vapo.lab.world import CELL

LabModel = Any
"""A `LlavaForConditionalGeneration`. What transformers says of its own classes is too loose to check against."""

LabTokenizer = Any
"""A `Qwen2Tokenizer`."""

LabProcessor = Any
"""A `LlavaProcessor`."""


@dataclass(frozen=True, slots=True)
class ModelSize:
    """How large the model is, and how far its text layers reach back.

    `canvas` is the image's side in pixels; `sliding_window` is None for full attention, or a number of tokens
    that the text layers can look back, which makes what was seen fade out of reach as a response grows.
    """

    canvas: int = 64
    vision_width: int = 96
    vision_layers: int = 2
    text_width: int = 128
    text_mlp: int = 320
    text_layers: int = 4
    heads: int = 4
    sliding_window: int | None = 52


def describe_model(size: ModelSize, tokenizer: LabTokenizer) -> Any:
    """Return the configuration of a model of a size for a tokenizer made by `train_tokenizer`."""
    import transformers

    classes: Any = transformers
    vision = classes.SiglipVisionConfig(
        hidden_size=size.vision_width,
        intermediate_size=2 * size.vision_width,
        num_hidden_layers=size.vision_layers,
        num_attention_heads=size.heads,
        image_size=size.canvas,
        patch_size=CELL,
        vision_use_head=False,
    )
    end, pad = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    text = classes.Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=size.text_width,
        intermediate_size=size.text_mlp,
        num_hidden_layers=size.text_layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=2048,
        initializer_range=size.text_width**-0.5,
        use_sliding_window=size.sliding_window is not None,
        sliding_window=size.sliding_window,
        max_window_layers=0,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=pad,
    )
    return classes.LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=True,
        eos_token_id=end,
        pad_token_id=pad,
    )


def build_model(size: ModelSize, tokenizer: LabTokenizer, *, seed: int) -> LabModel:
    """Build the model with random weights drawn from `seed`; the global random state of torch is left as it was.

    Keys begin equal to queries, so that at first a token looks at what resembles it. The tower is taught to write
    in the text model's word vectors (`teach_vision`), and a cell is found by its name, a digit by its like, at once.
    """
    import torch
    from transformers import GenerationConfig, LlavaForConditionalGeneration

    config = describe_model(size, tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlavaForConditionalGeneration(config)
    with torch.no_grad():
        for layer in model.model.language_model.layers:
            layer.self_attn.k_proj.weight.copy_(layer.self_attn.q_proj.weight)
    model.generation_config = GenerationConfig(
        eos_token_id=config.text_config.eos_token_id, pad_token_id=config.text_config.pad_token_id, do_sample=False
    )
    return model
