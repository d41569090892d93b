"""Idefics2, Idefics3 and SmolVLM: an image may be cut into tiles, and rows are padded to the one with most tiles."""

from __future__ import annotations

from tiny_models.tokens import text_options, tiny_tokenizer

VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 7,
}
TILES = {"size": {"longest_edge": 56}, "max_image_size": {"longest_edge": 28}}  # at most 2 x 2, and the whole image
TOKENS_PER_TILE = 4  # 4 x 4 patches, four of which become one token


def _tokenizer():
    tiles = [f"<row_{row}_col_{column}>" for row in (1, 2) for column in (1, 2)]
    own = ("<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *tiles)
    return tiny_tokenizer(own, (), "<image>")


def _options():
    from transformers import LlamaConfig

    tokenizer = _tokenizer()
    return {
        "text_config": LlamaConfig(**text_options(tokenizer)),
        "image_token_id": tokenizer.convert_tokens_to_ids("<image>"),
        "pad_token_id": tokenizer.pad_token_id,
        "scale_factor": 2,
        "tie_word_embeddings": True,
    }


def build_idefics2():
    from transformers import (
        Idefics2Config,
        Idefics2ForConditionalGeneration,
        Idefics2ImageProcessor,
        Idefics2Processor,
        MistralConfig,
    )

    tokenizer = _tokenizer()
    perceiver = {
        "hidden_size": 32,
        "resampler_n_latents": TOKENS_PER_TILE,
        "resampler_depth": 1,
        "resampler_n_heads": 4,
        "resampler_head_dim": 8,
        "num_key_value_heads": 2,
    }
    options = {**_options(), "text_config": MistralConfig(**text_options(tokenizer), sliding_window=None)}
    del options["scale_factor"], options["pad_token_id"]
    config = Idefics2Config(vision_config=VISION, perceiver_config=perceiver, **options)
    processor = Idefics2Processor(
        image_processor=Idefics2ImageProcessor(size={"shortest_edge": 14, "longest_edge": 28}),
        tokenizer=tokenizer,
        image_seq_len=TOKENS_PER_TILE,
        chat_template=tokenizer.chat_template,
    )
    model = Idefics2ForConditionalGeneration(config)
    for parameter in model.model.connector.parameters():
        parameter.data *= 4  # as it is made, little of an image gets through
    return model, processor


def build_idefics3():
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessor,
        Idefics3Processor,
    )

    tokenizer = _tokenizer()
    processor = Idefics3Processor(
        image_processor=Idefics3ImageProcessor(**TILES),
        tokenizer=tokenizer,
        image_seq_len=TOKENS_PER_TILE,
        chat_template=tokenizer.chat_template,
    )
    config = Idefics3Config(vision_config={"model_type": "idefics3_vision", **VISION}, **_options())
    return Idefics3ForConditionalGeneration(config), processor


def build_smolvlm():
    from transformers import (
        SmolVLMConfig,
        SmolVLMForConditionalGeneration,
        SmolVLMImageProcessor,
        SmolVLMProcessor,
        SmolVLMVideoProcessor,
    )

    tokenizer = _tokenizer()
    processor = SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(**TILES),
        tokenizer=tokenizer,
        video_processor=SmolVLMVideoProcessor(**TILES),
        image_seq_len=TOKENS_PER_TILE,
        chat_template=tokenizer.chat_template,
    )
    config = SmolVLMConfig(vision_config={"model_type": "smolvlm_vision", **VISION}, **_options())
    return SmolVLMForConditionalGeneration(config), processor
