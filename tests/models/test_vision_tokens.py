from __future__ import annotations

import pytest
import torch
from prober_contract import encode_prompt, make_sample
from tiny_models import FAMILIES, build_tiny

from vapo.models.image_features import find_feature_module
from vapo.models.vision_tokens import (
    correct_token_types,
    find_image_token_id,
    find_token_type_name,
)


@pytest.mark.parametrize("family", FAMILIES)
def test_token_types_are_given_to_the_families_that_take_them(family):
    model, processor = build_tiny(family)
    encoded = encode_prompt(processor, make_sample("one"))
    name = find_token_type_name(find_feature_module(model), processor)
    assert ({name} - {None}) == {n for n in encoded if n.endswith("token_type_ids")}
    if name is not None:
        late = {name: encoded[name].roll(1), "image_sizes": None}
        corrected = correct_token_types(late, encoded["input_ids"], find_image_token_id(model.config))
        assert corrected["image_sizes"] is None and torch.equal(corrected[name], encoded[name].long())
