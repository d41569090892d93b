from __future__ import annotations

import inspect
from types import ModuleType

import pytest
import torch
from tiny_models import FAMILIES, build_tiny

from vapo.models.image_features import (
    features_like_embeddings,
    find_feature_module,
    passing_images_per_row,
    shared_image_features,
)
from vapo.models.images import ImageInputs
from vapo.models.replaced_method import replaced_method


class Encoder:
    def encode(self, pixels, sizes=None, *, quick=False):
        return "own"


def stand_in(*_args, **_kwargs):
    return "other"


def test_an_instance_gets_another_and_its_own_back():
    encoder, other = Encoder(), Encoder()
    with replaced_method(encoder, "encode", stand_in):
        assert encoder.encode(1) == "other" and other.encode(1) == "own"
        assert list(inspect.signature(encoder.encode).parameters) == ["pixels", "sizes", "quick"]
    assert encoder.encode(1) == "own" and "encode" not in vars(encoder)


def test_what_another_tool_put_there_comes_back():
    encoder = Encoder()
    encoder.encode = hooked = lambda pixels: "hooked"
    with pytest.raises(KeyError), replaced_method(encoder, "encode", stand_in):
        assert list(inspect.signature(encoder.encode).parameters) == ["pixels"]
        raise KeyError
    assert encoder.encode is hooked


def test_a_module_gets_another_and_its_own_back():
    module = ModuleType("library")
    module.encode = encode = lambda pixels: "own"
    with replaced_method(module, "encode", stand_in):
        assert module.encode(1) == "other" and list(inspect.signature(module.encode).parameters) == ["pixels"]
    assert module.encode is encode


@pytest.mark.parametrize("family", FAMILIES)
def test_models_show_the_signature_that_generate_chooses_arguments_by(family):
    model, _ = build_tiny(family)
    module = find_feature_module(model)
    own = inspect.signature(module.get_image_features)
    images = ImageInputs({"pixel_values": torch.zeros(1)})
    contexts = (
        shared_image_features(module, [0], [images], None),
        passing_images_per_row(module, [2]),
        features_like_embeddings(module),
    )
    for context in contexts:
        with context:
            assert inspect.signature(module.get_image_features) == own
    assert "get_image_features" not in vars(module)
