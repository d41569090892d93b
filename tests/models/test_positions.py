from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from prober_contract import encode_prompt, make_sample
from tiny_models import build_tiny

from vapo.models.image_features import find_feature_module
from vapo.models.positions import positions_behind_padding

YARN = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0, "original_max_position_embeddings": 64}


class Decoder(torch.nn.Module):
    """A model that tells what positions it was given."""

    def __init__(self, **config):
        super().__init__()
        self.config = SimpleNamespace(**config)

    def get_decoder(self):
        return self

    def forward(self, attention_mask=None, position_ids=None):
        return position_ids


@pytest.mark.parametrize(
    ("config", "counts"),
    [
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}, False),
        ({"rope_parameters": YARN}, False),
        ({"rope_parameters": {"full_attention": YARN, "sliding_attention": {"rope_type": "default"}}}, False),
        ({"rope_parameters": {"full_attention": {**YARN, "rope_type": "longrope"}}}, True),
        ({"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}, True),
        ({"rope_parameters": {**YARN, "a_scaling_of_queries": 0.1}}, True),
        ({"rope_parameters": {"rope_type": "default"}, "attn_temperature_tuning": True}, True),
        ({}, True),  # learned, perhaps
    ],
)
def test_positions_are_counted_where_more_than_distances_may_be_known(config, counts):
    decoder = Decoder(**config)
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    with positions_behind_padding(decoder):
        found = decoder(attention_mask=mask)
        own = decoder(attention_mask=mask, position_ids=mask)
    assert own is mask
    assert (found.tolist() == [[0, 0, 0, 1, 2], [0, 1, 2, 3, 4]]) if counts else found is None
    assert decoder(attention_mask=mask) is None


@pytest.mark.torchvision
def test_padding_changes_nothing_to_a_model_that_knows_positions():
    model, processor = build_tiny("ministral3")
    for parameter in model.parameters():
        parameter.data *= 2
    prompt = encode_prompt(processor, make_sample("one"))
    padded = {name: torch.nn.functional.pad(prompt[name], (24, 0)) for name in ("input_ids", "attention_mask")} | {
        name: prompt[name] for name in ("pixel_values", "image_sizes")
    }
    with torch.no_grad():
        alone = model(**prompt).logits[0, -1].log_softmax(-1)
        shifted = model(**padded).logits[0, -1].log_softmax(-1)
        with positions_behind_padding(find_feature_module(model)):
            behind = model(**padded).logits[0, -1].log_softmax(-1)
    assert (shifted - alone).abs().max() > 1e-3
    torch.testing.assert_close(behind, alone, atol=1e-5, rtol=0)
