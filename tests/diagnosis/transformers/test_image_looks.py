from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from prober_contract import encode_prompt, extend_prompt, make_rollout, make_sample
from tiny_models import build_tiny

from vapo.data.image_views import GREY
from vapo.diagnosis.transformers.attention_ratio import attention_on_image, weights_on_image
from vapo.diagnosis.transformers.image_looks import ImageLooks, find_looks_obstacle, grey_cells, show_grey
from vapo.errors import ModelError
from vapo.models.image_features import find_feature_module
from vapo.models.policy.checkpoint import Policy
from vapo.models.tree.attention_switch import switched_attention

RESPONSE = "<think>I see a 3, then a 5. Or two cats: no, one!</think> \\boxed{2}"
TILED_AND_MERGED = ("qwen2_5_vl", "qwen3_vl", "internvl", "idefics3", "mistral3")
LOCATED = ["llava", *(pytest.param(family, marks=pytest.mark.torchvision) for family in TILED_AND_MERGED)]


def sharpen(model):
    # A model as it is made attends to all alike, and a wrong cell would hardly show.
    for name, parameter in find_feature_module(model).get_decoder().named_parameters():
        if "q_proj" in name or "k_proj" in name:
            parameter.data *= 8
    return model


@pytest.fixture(scope="module", params=LOCATED)
def policy(request):
    model, processor = build_tiny(request.param)
    return Policy(sharpen(model), processor)


def test_maps_sum_to_the_attention_on_the_image(policy):
    rollout = make_rollout(policy.processor, make_sample("a", size=(96, 64)), RESPONSE)
    maps = ImageLooks(policy).map_attention(rollout)
    shares = attention_on_image(policy.model, policy.processor, rollout).mean(2).T
    np.testing.assert_allclose(maps.sum((2, 3)), shares.numpy(), atol=1e-5)
    assert maps.max() > 1.5 * maps.mean()


def test_each_tokens_weight_is_that_of_eager_attention(policy):
    rollout = make_rollout(policy.processor, make_sample("a", size=(96, 64)), RESPONSE)
    inputs = extend_prompt(encode_prompt(policy.processor, rollout.sample), rollout.completion_ids)
    config = find_feature_module(policy.model).get_decoder().config
    with torch.no_grad(), switched_attention(config, "eager"):
        weights = torch.stack(policy.model(**inputs, output_attentions=True).attentions)[:, 0].mean(1)
    first = len(rollout.prompt_ids) - 1
    is_image = inputs["input_ids"][0] == policy.model.config.image_token_id
    expected = weights[:, first : first + len(rollout.completion_ids)][..., is_image]
    torch.testing.assert_close(weights_on_image(policy.model, policy.processor, rollout), expected, atol=1e-5, rtol=0)


def test_painting_what_a_token_shows_changes_its_embedding(policy):
    assert find_looks_obstacle(policy) is None


def test_the_rest_is_scored_as_a_plain_pass_scores_it(policy):
    rollout = make_rollout(policy.processor, make_sample("a", size=(96, 64)), RESPONSE)
    inputs = extend_prompt(encode_prompt(policy.processor, rollout.sample), rollout.completion_ids)
    with torch.no_grad():
        logprobs = policy.model(**inputs).logits[0].log_softmax(-1)
    start, first = 5, len(rollout.prompt_ids)
    own = [logprobs[first + k - 1, rollout.completion_ids[k]] for k in range(start, len(rollout.completion_ids))]
    assert ImageLooks(policy).score(rollout, start) == pytest.approx(float(torch.stack(own).mean()), abs=1e-5)
    cells = np.ones(ImageLooks(policy).locate((96, 64)).shape, dtype=bool)
    assert abs(ImageLooks(policy).score(show_grey(rollout, cells), start) - float(torch.stack(own).mean())) > 1e-6


def test_grey_falls_on_the_cells_pixels():
    cells = np.zeros((2, 3), dtype=bool)
    cells[1, 2] = True
    painted = np.array(grey_cells(Image.new("RGB", (30, 20), "red"), cells))
    assert (painted[10:, 20:] == GREY).all() and (painted == GREY).all(-1).sum() == 100


def test_several_images_have_no_map():
    model, processor = build_tiny("llava")
    rollout = make_rollout(processor, make_sample("a", num_images=2), RESPONSE)
    with pytest.raises(ModelError, match="has 2 images"):
        ImageLooks(Policy(model, processor)).map_attention(rollout)


@pytest.mark.torchvision
def test_a_resampler_is_refused():
    model, processor = build_tiny("idefics2")
    assert "mixes the features" in find_looks_obstacle(Policy(model, processor))
