from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from prober_contract import encode_prompt, make_sample
from tiny_models import FAMILIES, build_tiny
from tiny_models.refused import build_ernie, build_paligemma
from training.training_world import even_letters, make_config, make_rows

from vapo import VAPOTrainer
from vapo.errors import ModelError
from vapo.models.images import apply_chat_template, take_image_inputs
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.prompt_writer import PromptWriter
from vapo.models.prompt_tokens import list_token_inputs, strip_padding

IMAGES_ALONE = SimpleNamespace(image_processor=SimpleNamespace(model_input_names=["pixel_attention_mask"]))


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_is_taken_away_by_the_mask_on_either_side(side):
    rows = {"input_ids": [[5, 6, 7], [8]], "attention_mask": [[1, 1, 1], [1]], "token_type_ids": [[0, 1, 0], [0]]}
    padded = {
        name: [row + [0] * (3 - len(row)) if side == "right" else [0] * (3 - len(row)) + row for row in value]
        for name, value in rows.items()
    }
    # What is made of images stays, also where it happens to be as long.
    padded["pixel_attention_mask"] = [[1, 0, 0], [1, 1, 0]]
    as_tensors = {name: torch.tensor(value) for name, value in padded.items()}
    for encoded in (padded, as_tensors):
        stripped = strip_padding(encoded, IMAGES_ALONE)
        assert stripped == {**rows, "pixel_attention_mask": encoded["pixel_attention_mask"]}


def test_prompts_without_a_mask_are_refused():
    with pytest.raises(ModelError, match="no attention_mask, so padding cannot be told from text"):
        strip_padding({"input_ids": [[1, 2]]}, IMAGES_ALONE)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_made_of_tokens_and_of_images_is_told_apart(family):
    _, processor = build_tiny(family)
    encoded = encode_prompt(processor, make_sample("one", num_images=2))
    names = list_token_inputs(encoded, processor)
    assert set(names) == {name for name in encoded if name.endswith("token_type_ids")} | {
        "input_ids",
        "attention_mask",
    }
    assert set(take_image_inputs(encoded, names).tensors) == set(encoded) - set(names)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_prompt_is_made_as_the_processor_makes_it(family):
    _, processor = build_tiny(family)
    sample = make_sample("one")
    content = [{"type": "image", "image": sample.images[0]}, {"type": "text", "text": sample.question}]
    found = apply_chat_template(processor, [{"role": "user", "content": content}], add_generation_prompt=True)
    expected = encode_prompt(processor, sample)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, check_dtype=False)


@pytest.mark.torchvision
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # ERNIE's processor
@pytest.mark.parametrize(
    ("build", "name"), [(build_paligemma, "token_type_ids"), (build_ernie, "moe_mm_token_type_ids")]
)
def test_inputs_of_tokens_that_are_not_understood_are_refused(build, name, tmp_path):
    model, processor = build()
    with pytest.raises(ModelError, match=f"gives each token of a prompt an input {name!r} other than"):
        PromptWriter(Policy(model, processor)).write(make_sample("one"))
    trainer = VAPOTrainer(
        model,
        reward_funcs=even_letters,
        args=make_config(tmp_path, max_steps=1, accuracy_gate="none", beta=0.0),
        train_dataset=make_rows(),
        processing_class=processor,
    )
    with pytest.raises(ModelError, match=f"gives each token of a prompt an input {name!r} other than"):
        trainer.train()
