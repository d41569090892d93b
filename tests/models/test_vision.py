from __future__ import annotations

import pytest
import torch
from tiny_models import build_tiny, tiny_tokenizer
from transformers import Qwen2Config, Qwen2ForCausalLM

from vapo.errors import ModelError
from vapo.models.vision import (
    ImageInputs,
    find_feature_module,
    find_image_token_id,
    find_vision_token_ids,
    shared_image_features,
    told_images_per_row,
)


class FakeLlavaOneVision:
    """Only the method whose signature matters."""

    def __init__(self):
        self.seen = []

    def get_image_features(self, pixel_values, image_sizes, batch_num_images=None, **kwargs):
        self.seen.append(None if batch_num_images is None else batch_num_images.tolist())


def test_what_a_text_model_lacks_is_named():
    model = Qwen2ForCausalLM(Qwen2Config(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
                                         num_attention_heads=1, num_key_value_heads=1))  # fmt: skip
    with pytest.raises(ModelError, match="Qwen2ForCausalLM has no get_image_features"):
        find_feature_module(model)
    with pytest.raises(ModelError, match="Qwen2Config names no image_token_id"):
        find_image_token_id(model.config)


def test_every_marker_of_a_picture_or_video_is_found():
    model, _ = build_tiny("llava")
    tokenizer = tiny_tokenizer()
    names = ["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
    assert find_vision_token_ids(model.config, tokenizer) == tuple(sorted(tokenizer.convert_tokens_to_ids(names)))


def test_features_are_repeated_for_rows_and_the_method_is_put_back():
    model, _ = build_tiny("llava")
    module = find_feature_module(model)
    pictures = [ImageInputs({"pixel_values": torch.rand(1, 3, 28, 28)}) for _ in range(2)]
    cache = {}
    with torch.no_grad(), shared_image_features(module, [1, 0, 1], pictures, cache):
        joined = module.get_image_features(pixel_values=pictures[0].tensors["pixel_values"], vision_feature_layer=-1)
    assert len(joined.pooler_output) == 3 and set(cache) == {0, 1}
    assert torch.equal(joined.pooler_output[0], joined.pooler_output[2])
    assert not torch.equal(joined.pooler_output[0], joined.pooler_output[1])
    assert "get_image_features" not in vars(module)


class TestImagesPerRow:
    def test_counts_are_handed_out_call_by_call(self):
        module = FakeLlavaOneVision()
        with told_images_per_row(module, [1, 2, 2, 1]):
            module.get_image_features(torch.zeros(3, 1), torch.zeros(3, 2))
            module.get_image_features(torch.zeros(3, 1), torch.zeros(3, 2))
        assert module.seen == [[1, 2], [2, 1]] and "get_image_features" not in vars(module)

    def test_rows_of_one_picture_are_left_alone(self):
        module = FakeLlavaOneVision()
        with told_images_per_row(module, [1, 1]):
            module.get_image_features(torch.zeros(2, 1), torch.zeros(2, 2))
        assert module.seen == [None]
