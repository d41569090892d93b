"""The card beside checkpoints names the base model, or does not speak of it."""

from __future__ import annotations

import pytest
import yaml

from vapo.training.draft_card import write_draft_card


@pytest.mark.parametrize(
    ("base", "named", "said"),
    [
        ("org/base-vl", "org/base-vl", "from `org/base-vl`"),
        ("/home/me/tiny", None, "from `tiny`"),
        ("", None, "Trained by"),
    ],
)
def test_a_base_model_is_named_as_far_as_others_can_find_it(base, named, said):
    card = write_draft_card("run", base, ["vapo", "grpo", "vapo"])
    head = yaml.safe_load(card.split("---\n")[1])
    assert head.get("base_model") == named and head["tags"] == ["grpo", "vapo"]
    assert said in card and "/home" not in card and "None" not in card
