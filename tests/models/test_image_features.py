from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from prober_contract import encode_prompt, make_sample
from tiny_models import FAMILIES, build_tiny
from transformers import Qwen2Config, Qwen2ForCausalLM, T5Config
from transformers.modeling_outputs import BaseModelOutput, BaseModelOutputWithPooling, ModelOutput

from vapo.errors import ModelError
from vapo.models.image_features import (
    find_feature_module,
    freeze_vision,
    keep_batch_statistics,
    name_language_layers,
    passing_images_per_row,
    shared_image_features,
)
from vapo.models.images import ImageInputs, process_images, take_image_inputs
from vapo.models.vision_tokens import (
    find_image_token_id,
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


def test_features_are_repeated_for_rows_and_the_method_is_put_back():
    model, _ = build_tiny("llava")
    module = find_feature_module(model)
    images = [ImageInputs({"pixel_values": torch.rand(1, 3, 28, 28)}) for _ in range(2)]
    cache = {}
    with torch.no_grad(), shared_image_features(module, [1, 0, 1], images, cache):
        joined = module.get_image_features(pixel_values=images[0].tensors["pixel_values"], vision_feature_layer=-1)
    assert len(joined.pooler_output) == 3 and set(cache) == {0, 1}
    assert torch.equal(joined.pooler_output[0], joined.pooler_output[2])
    assert not torch.equal(joined.pooler_output[0], joined.pooler_output[1])
    assert "get_image_features" not in vars(module)


def flat_features(output) -> list[torch.Tensor]:
    """Every feature in an output, those of deeper layers too, as one row per image token."""
    layers = [output.pooler_output, *(getattr(output, "deepstack_features", None) or [])]
    return [torch.cat([part.reshape(-1, part.shape[-1]) for part in layer]) for layer in layers]


@pytest.mark.parametrize("family", FAMILIES)
def test_shared_features_are_those_of_plain_rows(family, monkeypatch):
    model, processor = build_tiny(family)
    module = find_feature_module(model)
    prompts = [encode_prompt(processor, make_sample("pair", (56, 20), num_images=2)),
               encode_prompt(processor, make_sample("one", (20, 56)))]  # fmt: skip
    inputs = [process_images(processor, make_sample("pair", (56, 20), num_images=2).images),
              process_images(processor, make_sample("one", (20, 56)).images)]  # fmt: skip
    for prompt, own in zip(prompts, inputs, strict=True):  # made without the prompt's text, and yet the same
        expected = take_image_inputs(prompt).tensors
        assert expected.keys() == own.tensors.keys()
        assert all(torch.equal(own.tensors[name], tensor) for name, tensor in expected.items())

    plain, cache = [], {}
    encode = module.get_image_features
    with torch.no_grad(), monkeypatch.context() as patch:
        patch.setattr(module, "get_image_features", lambda *a, **k: plain.append(encode(*a, **k)) or plain[-1])
        for prompt in prompts:
            model(**prompt)
    rows = [1, 0, 1]
    for _ in ("encoded", "from the cache"):
        with torch.no_grad(), shared_image_features(module, rows, inputs, cache):
            joined = module.get_image_features(pixel_values=None, return_dict=True)
        expected = [torch.cat(layer) for layer in zip(*(flat_features(plain[row]) for row in rows), strict=True)]
        for layer, expected_layer in zip(flat_features(joined), expected, strict=True):
            torch.testing.assert_close(layer, expected_layer, atol=1e-6, rtol=0)


@dataclass
class FeaturesOfTimm(ModelOutput):
    last_hidden_state: torch.Tensor  # cannot be left out
    pooler_output: torch.Tensor | None = None


@dataclass
class Features(BaseModelOutputWithPooling):
    deepstack_features: Any = None
    indicators: Any = None  # a field of a family's own


class FormOfFeatures:
    """A family that gives each prompt's two images, of one and two tokens, in a form of its own."""

    def __init__(self, form):
        self._form, self._embeddings = form, torch.nn.Embedding(1, 1)

    def get_input_embeddings(self):
        return self._embeddings

    def get_image_features(self, pixel_values):
        return self._form([pixel_values[:1], pixel_values[1:]])


def set_as_attribute(two):
    output = BaseModelOutput(hidden_states=(torch.zeros(7),))
    output.pooler_output = torch.cat(two)
    return output


FORMS = {
    "an attribute of no class": set_as_attribute,
    "one tensor": lambda two: Features(pooler_output=torch.cat(two), hidden_states=(torch.zeros(7),)),
    "a tensor for each": lambda two: Features(pooler_output=tuple(two)),
    "states alone": lambda two: BaseModelOutput(last_hidden_state=torch.cat(two)),
    "layers in one tensor": lambda two: Features(pooler_output=tuple(two), deepstack_features=[torch.cat(two)] * 2),
    "layers split by image": lambda two: Features(pooler_output=tuple(two), deepstack_features=[tuple(two)] * 2),
    "layers by name": lambda two: Features(deepstack_features=[(3, two), (5, two)]),
    "states that must be there": lambda two: FeaturesOfTimm(torch.zeros(7), torch.cat(two)),
    "a field of its own": lambda two: Features(pooler_output=torch.cat(two), indicators=torch.cat(two)),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_features_are_joined_in_the_form_that_a_family_gives(form):
    module = FormOfFeatures(form)
    pixels = [torch.arange(3.0)[:, None] + 10 * prompt for prompt in range(2)]
    with shared_image_features(module, [1, 0, 1], [ImageInputs({"pixel_values": one}) for one in pixels], None):
        joined = module.get_image_features(pixels[0])
    six = [part for prompt in (1, 0, 1) for part in (pixels[prompt][:1], pixels[prompt][1:])]
    expected = form(six)
    filled = {name for name, value in vars(expected).items() if value is not None} - {"hidden_states"}
    filled -= {"last_hidden_state"} if len(filled) > 1 else set()
    assert type(joined) is type(expected)
    assert {name for name, value in vars(joined).items() if value is not None} == filled
    for name in filled:
        assert flatten(getattr(joined, name)) == flatten(getattr(expected, name))


def test_features_without_an_output_around_them_are_joined():
    module = FormOfFeatures(lambda two: two)
    pixels = [torch.arange(3.0)[:, None], torch.ones(3, 1)]
    with shared_image_features(module, [1, 0], [ImageInputs({"pixel_values": one}) for one in pixels], None):
        joined = module.get_image_features(pixels[0])
    assert flatten(joined) == [[[1]], [[1], [1]], [[0]], [[1], [2]]]


class Recorder:
    """A family whose method takes some of the images' inputs by name, and others as they come."""

    def __init__(self):
        self.seen = []

    def get_input_embeddings(self):
        return torch.nn.Embedding(1, 1)

    def get_image_features(self, pixel_values, strategy, layer=None, **kwargs):
        self.seen.append({"pixel_values": pixel_values, "strategy": strategy, "layer": layer, **kwargs})
        return BaseModelOutputWithPooling(pooler_output=pixel_values)


@pytest.mark.parametrize("by_name", [True, False])
def test_each_prompt_gets_its_own_inputs_and_what_the_model_passes_on(by_name):
    module = Recorder()
    images = [
        ImageInputs(
            {"pixel_values": torch.full((1, 1), float(n)), "image_sizes": torch.tensor([n]), "other": torch.ones(1)}
        )
        for n in range(2)
    ]
    with shared_image_features(module, [1, 0], images, None):
        first = images[0].tensors
        positional = {"pixel_values": first["pixel_values"], "strategy": None}  # which it must be given
        args, named = ((), positional) if by_name else (tuple(positional.values()), {})
        module.get_image_features(*args, **named, image_sizes=None, return_dict=True)
    assert [sorted(seen) for seen in module.seen] == [
        ["image_sizes", "layer", "pixel_values", "return_dict", "strategy"]
    ] * 2
    assert [(int(seen["pixel_values"]), int(seen["image_sizes"])) for seen in module.seen] == [(1, 1), (0, 0)]


def flatten(value) -> list:
    """Return nested sequences as lists, and tensors as their numbers."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    return [flatten(part) for part in value] if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize("family", FAMILIES)
def test_freezing_the_vision_part_leaves_the_language_model(family):
    model, _ = build_tiny(family)
    frozen = freeze_vision(model)
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == (".language_model." in name or ".text_model." in name), name
    assert frozen == sum(p.numel() for p in model.parameters() if not p.requires_grad) > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_the_layers_of_the_language_model_are_its_linear_ones(family):
    model, _ = build_tiny(family)
    pattern = re.compile(name_language_layers(model))
    named = {name for name, _ in model.named_modules() if pattern.fullmatch(name)}
    linear = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    head = {name for name in linear if model.get_submodule(name) is model.get_output_embeddings()}
    language = {name for name in linear - head if ".language_model." in name or ".text_model." in name}
    assert named == {name for name in language if "vision" not in name} and len(named) >= 7


def test_a_model_that_names_no_language_model_is_not_frozen():
    class NoDecoder(torch.nn.Module):
        config = None

        def get_image_features(self): ...

        def get_decoder(self):
            return self

    with pytest.raises(ModelError, match="NoDecoder does not say which part"):
        freeze_vision(NoDecoder())
    with pytest.raises(ModelError, match="lora_target_modules"):
        name_language_layers(NoDecoder())


class TestImagesPerRow:
    def test_counts_are_handed_out_call_by_call(self):
        module = FakeLlavaOneVision()
        with passing_images_per_row(module, [1, 2, 2, 1]):
            module.get_image_features(torch.zeros(3, 1), torch.zeros(3, 2))
            module.get_image_features(torch.zeros(3, 1), torch.zeros(3, 2))
        assert module.seen == [[1, 2], [2, 1]] and "get_image_features" not in vars(module)

    def test_rows_of_one_image_are_left_alone(self):
        module = FakeLlavaOneVision()
        with passing_images_per_row(module, [1, 1]):
            module.get_image_features(torch.zeros(2, 1), torch.zeros(2, 2))
        assert module.seen == [None]


@pytest.mark.parametrize("config", [{"is_encoder_decoder": True}, {"text_config": T5Config()}], ids=["own", "text"])
def test_an_encoder_decoder_is_refused(config, monkeypatch):
    model, _ = build_tiny("llava")
    for name, value in config.items():
        monkeypatch.setitem(vars(model.model.config), name, value)
    with pytest.raises(ModelError, match="a 'llava' model reads prompts with an encoder and responses with a decoder"):
        find_feature_module(model)


def test_layers_that_normalise_by_batches_keep_their_statistics():
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    model[1].running_mean.fill_(0.5)
    rows, expected = torch.randn(3, 4), model.state_dict()["1.running_mean"].clone()
    alone = model.eval()(rows[:1])
    keep_batch_statistics(model)
    torch.testing.assert_close(model.train()(rows)[:1], alone)
    assert torch.equal(model[1].running_mean, expected) and model[0].training
