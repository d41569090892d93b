"""Images that a processor cannot make one batch of."""

from __future__ import annotations

import pytest

pytest.importorskip("timm")
from tiny_models.timm_towers import build_perception_lm
from training.training_world import make_images

from vapo.errors import ModelError
from vapo.models.images import process_images

pytestmark = pytest.mark.torchvision


def test_a_processor_that_fails_is_named():
    """PerceptionLM's puts images of as many tiles alone into one tensor."""
    processor = build_perception_lm(max_tiles=4)[1]
    wide, narrow = (make_images(1)[0].resize(size) for size in ((56, 42), (30, 60)))
    tiles = [process_images(processor, [image]).tensors["pixel_values"].shape[1] for image in (wide, narrow)]
    assert tiles == [5, 3]
    said = r"PerceptionLMProcessor fails on the text and the images of prompts \(ValueError: Unable to convert .*; use"
    with pytest.raises(ModelError, match=said):
        process_images(processor, [wide, narrow])
