from __future__ import annotations

import numpy as np
import pytest
from tiny_models import build_tiny

from vapo.errors import ModelError
from vapo.models.image_regions import ImageRegions, find_regions
from vapo.models.policy.checkpoint import adopt_chat_template
from vapo.models.vision_tokens import find_image_token_id


def locate(family, size):
    model, processor = build_tiny(family)
    adopt_chat_template(processor, family)
    return find_regions(processor, find_image_token_id(model.config), size)


def test_spreading_keeps_sums_also_of_what_lies_outside():
    boxes = np.array([[0, 0, 0.5, 0.5], [0.25, 0.5, 0.75, 1], [1.1, 0, 1.6, 0.5]])
    cells = ImageRegions(boxes).spread(np.array([[1.0, 2.0, 4.0]]))
    assert cells.tolist() == [[[1, 4], [1, 1]]]


def test_a_processor_that_crops_shows_the_middle():
    regions = locate("llava", (96, 64))  # the shorter side is fitted, so a third of the width is lost
    np.testing.assert_allclose(regions.boxes[0], [1 / 6, 0, 1 / 2, 1 / 2], atol=0.01)
    np.testing.assert_allclose(regions.boxes[3], [1 / 2, 1 / 2, 5 / 6, 1], atol=0.01)


@pytest.mark.torchvision
def test_patches_that_are_merged():
    boxes = locate("qwen2_5_vl", (96, 64)).boxes
    np.testing.assert_allclose(boxes[:, 0], [0, 1 / 3, 2 / 3] * 2, atol=0.01)
    np.testing.assert_allclose(boxes[:, 1], [0] * 3 + [1 / 2] * 3, atol=0.01)


@pytest.mark.torchvision
@pytest.mark.parametrize("family", ["idefics3", "internvl"])
def test_tiles_and_the_whole_image_behind_them(family):
    regions = locate(family, (96, 64))
    assert regions.shape == (4, 4) and len(regions.boxes) == 20
    first = regions.boxes[[0, 4, 8, 12], :2]  # each tile's first token
    np.testing.assert_allclose(first, [[0, 0], [0.5, 0], [0, 0.5], [0.5, 0.5]], atol=0.01)
    np.testing.assert_allclose(regions.boxes[16], [0, 0, 0.5, 0.5], atol=0.01)


@pytest.mark.torchvision
@pytest.mark.parametrize("family", ["llava_next", "llava_onevision", "lfm2_vl"])
def test_what_cannot_be_read_is_refused_by_name(family):
    with pytest.raises(ModelError, match=r"Processor .* not known which part"):
        locate(family, (96, 64))
