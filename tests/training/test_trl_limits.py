"""What TRL cannot do for some models is mended, or refused before it is tried."""

from __future__ import annotations

import pytest
import torch
from tiny_models import build_tiny
from training.training_world import make_images, metrics_of

from vapo.errors import ConfigError, ModelError
from vapo.models.policy.checkpoint import load_policy
from vapo.training.trl_limits import check_image_inputs, counting_tiles


class TestImageInputs:
    def test_what_trl_hands_on_is_taken(self):
        _, processor = build_tiny("llava")
        check_image_inputs(processor, {"pixel_values": [], "image_sizes": [], "mm_token_type_ids": []})
        check_image_inputs(processor, {})

    def test_what_trl_drops_is_refused_before_a_rollout(self, make_trainer, monkeypatch):
        model, processor = build_tiny("llava")
        apply = processor.apply_chat_template
        processor.apply_chat_template = lambda *args, **options: (
            made | {"target_sizes": torch.ones(1, 2), "pixel_values_local": None}
            if isinstance(made := apply(*args, **options), dict) or hasattr(made, "items")
            else made
        )
        monkeypatch.setattr(model, "generate", None)
        trainer = make_trainer(model=model, trainer_options={"processing_class": processor}, beta=0.0)
        with pytest.raises(
            ModelError, match=r"LlavaProcessor makes target_sizes, pixel_values_local of images, which"
        ):
            trainer.train()


class TestTiles:
    def test_an_image_processor_that_knows_no_tiles_is_asked_image_by_image(self):
        _, processor = build_tiny("llava")
        own, (first, second, third) = processor.image_processor, make_images(3)
        expected = processor(images=[first], text="<|image_pad|>", return_tensors="pt")
        with counting_tiles(processor):
            options = {"crop_to_patches": True, "return_tensors": "pt"}
            counted = processor.image_processor(images=[[first], None, [second, third]], **options)
            inside = processor(images=[first], text="<|image_pad|>", return_tensors="pt")
        assert counted["num_patches"].tolist() == [1, 1, 1]
        assert all(torch.equal(inside[name], value) for name, value in expected.items())
        assert processor.image_processor is own

    @pytest.mark.torchvision
    def test_one_that_knows_them_is_asked_itself(self):
        _, processor = build_tiny("internvl")
        options = {"images": make_images(2), "crop_to_patches": True, "return_tensors": "pt"}
        expected = processor.image_processor(**options)["num_patches"]
        with counting_tiles(processor):
            assert torch.equal(processor.image_processor(**options)["num_patches"], expected)


@pytest.mark.torchvision
class TestRouterLoss:
    def test_one_that_cannot_be_computed_is_refused(self, make_trainer, checkpoints):
        with pytest.raises(
            ConfigError, match=r"InternVLForCond.*\(.*router_logits.*0\.001.*set router_aux_loss_coef=0"
        ):
            make_trainer(model=checkpoints("internvl_moe"), router_aux_loss_coef=None)

    def test_one_that_can_be_is_part_of_the_loss(self, make_trainer, checkpoints, capsys):
        trainer = make_trainer(model=checkpoints("qwen3_vl_moe"), router_aux_loss_coef=0.1, max_steps=1)
        trainer.train()
        assert metrics_of(trainer, "aux_loss")[0] > 0
        assert (
            "packing: off, every completion is encoded as a row of its own: the auxiliary loss of a mixture of exp"
            in (capsys.readouterr().out)
        )


@pytest.mark.torchvision
@pytest.mark.parametrize("given", ["a name", "a model"])
def test_the_reference_attends_as_the_policy_does(make_trainer, checkpoints, given):
    model, options = checkpoints("internvl_gpt_oss"), {}
    if given == "a model":
        policy = load_policy(model)
        model, options = policy.model, {"processing_class": policy.processor}
    trainer = make_trainer(model=model, trainer_options=options)
    for own in (trainer.model, trainer.ref_model):
        parts = own.config, own.config.text_config, own.config.vision_config
        assert [part._attn_implementation for part in parts] == ["sdpa", "eager", "sdpa"]
