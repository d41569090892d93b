"""A second view of the image to score behind, and other images to sample from, for algorithms from outside."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from training.training_world import even_letters, make_config, make_rows, train
from trl import GRPOTrainer

from vapo import VAPOTrainer
from vapo.algorithms.algorithm import Algorithm, Needs, SecondView
from vapo.algorithms.options import option
from vapo.core.image_views import add_noise
from vapo.errors import ConfigError, DataError
from vapo.models.images import process_images
from vapo.models.vision_tokens import find_image_token_id, find_token_type_name, token_types
from vapo.training.other_images import SECOND, OtherImages

FAMILIES = ["llava", pytest.param("qwen2_5_vl", marks=pytest.mark.torchvision)]


@dataclass(frozen=True, kw_only=True)
class PAPO(Algorithm):
    """arXiv 2507.06448: the policy is to say something else where it sees nothing."""

    gamma: float = option(0.02, "Weight of the divergence.")
    view: SecondView = option(SecondView(), "Of what the image still shows.")

    @property
    def needs(self):
        return Needs(token_loss=True, second_view=self.view)

    def token_loss(self, scores):
        log_ratio = scores.second.log_probs - scores.log_probs
        return -self.gamma * (log_ratio.exp() - log_ratio - 1)


@dataclass(frozen=True, kw_only=True)
class VPPO(Algorithm):
    """arXiv 2510.09285: tokens that depend on the image weigh more."""

    seen: ClassVar[list[float]] = []

    @property
    def needs(self):
        return Needs(token_weights=True, second_view=SecondView(strength=1.0))

    def token_weights(self, scores):
        assert not scores.log_probs.requires_grad and not scores.second.log_probs.requires_grad
        assert scores.second.entropies.shape == scores.second.log_probs.shape == scores.log_probs.shape
        self.seen.append((scores.second.log_probs - scores.log_probs).abs().max().item())
        return torch.ones_like(scores.log_probs)


@dataclass(frozen=True, kw_only=True)
class NoisyRollout(Algorithm):
    """arXiv 2504.13055: half of a group looks through noise."""

    strength: float = option(0.9, "Of the noise.")

    @property
    def needs(self):
        return Needs(sampled_images=True)

    def images_to_sample(self, images, member, group_size, rng, progress):
        assert 0 <= progress <= 1
        if member < group_size // 2:
            return images
        return [Image.fromarray(add_noise(np.array(image), self.strength, rng)) for image in images]


@pytest.fixture
def make_trainer(checkpoints, tmp_path):
    def make(algorithm=None, family="llava", rows=None, **options) -> VAPOTrainer:
        options = {"max_steps": 2, **({} if algorithm else {"algorithm": "grpo"}), **options}
        rows = make_rows() if rows is None else rows
        config = make_config(tmp_path, **options)
        return VAPOTrainer(checkpoints(family), even_letters, config, rows, algorithm=algorithm)

    return make


def roll_out(trainer, *numbers):
    """Return the batch of a rollout: a group of four for each row."""
    torch.manual_seed(0)
    trainer.model.train()
    rows = make_rows()
    return trainer._generate_and_score_completions([rows[number] for number in numbers for _ in range(4)])


@dataclass(frozen=True, kw_only=True)
class WholeDivergence(Algorithm):
    """Keeps the divergence of each token's distribution between the views."""

    seen: ClassVar[list[torch.Tensor]] = []

    @property
    def needs(self):
        return Needs(token_weights=True, second_view=SecondView(strength=1.0), divergence=True)

    def token_weights(self, scores):
        self.seen.append(scores.divergence)
        return torch.ones_like(scores.log_probs)


def score_plainly(trainer, output, row, *images):
    """Return the log-probabilities of a row's response behind images, by the model's own forward pass."""
    response = output["completion_ids"][row][output["completion_mask"][row].bool()]
    return distribute_plainly(trainer, output, row, *images).gather(1, response[:, None])[:, 0]


def distribute_plainly(trainer, output, row, *images):
    """Return the log-probabilities of the vocabulary at each token of a row's response, likewise; shape (T, V)."""
    model, processor = trainer.model, trainer.processing_class
    prompt = output["prompt_ids"][row][output["prompt_mask"][row].bool()]
    response = output["completion_ids"][row][output["completion_mask"][row].bool()]
    ids = torch.cat([prompt, response])[None]
    inputs = dict(process_images(processor, images).tensors)
    name = find_token_type_name(model, processor)
    if name is not None:
        inputs[name] = torch.tensor([token_types(ids[0].tolist(), find_image_token_id(model.config))])
    logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), **inputs).logits[0, len(prompt) - 1 : -1]
    return logits.float().div(trainer.temperature).log_softmax(-1)


class TestSecondView:
    @pytest.mark.parametrize("packing", ["off", "require"])
    def test_a_weight_of_0_is_grpo_bit_for_bit(self, make_trainer, packing):
        expected = train(make_trainer(packing=packing))
        for name, parameter in train(make_trainer(PAPO(gamma=0.0), packing=packing)).items():
            assert torch.equal(parameter, expected[name]), name

    @pytest.mark.parametrize("packing", ["off", "require"])
    @pytest.mark.parametrize("family", FAMILIES)
    def test_the_loss_and_its_gradient_are_those_of_plain_passes(self, make_trainer, family, packing):
        algorithm = PAPO(gamma=0.5, view=SecondView(strength=1.0))
        trainer = make_trainer(algorithm, family, packing=packing, loss_type="grpo", beta=0.0)
        trainer.current_gradient_accumulation_steps = 1
        output = roll_out(trainer, 0, 1)
        added = trainer.compute_loss(trainer.model, output) - GRPOTrainer._compute_loss(trainer, trainer.model, output)
        trainer.model.zero_grad()
        added.backward()
        grads = {n: p.grad.clone() for n, p in trainer.model.named_parameters() if p.grad is not None}
        trainer.model.zero_grad()
        means = []
        for row in range(8):
            image = make_rows()[row // 4]["images"][0]
            first = score_plainly(trainer, output, row, image)
            second = score_plainly(trainer, output, row, Image.new("RGB", image.size))
            means.append((-0.5 * ((second - first).exp() - (second - first) - 1)).mean())
        expected = torch.stack(means).mean()
        expected.backward()
        assert expected < -1e-6
        torch.testing.assert_close(added, expected, rtol=1e-3, atol=1e-6)
        norm = torch.stack([grad.norm() for grad in grads.values()]).norm()
        for name, parameter in trainer.model.named_parameters():
            if parameter.grad is not None:
                assert (parameter.grad - grads[name]).norm() < 1e-2 * max(parameter.grad.norm(), 1e-2 * norm), name

    @pytest.mark.parametrize("per_response", [False, True])
    def test_who_gets_a_view_of_its_own(self, make_trainer, per_response):
        view = SecondView(strength=0.5, patch_pixels=7, per_response=per_response)
        views, again = (roll_out(make_trainer(PAPO(view=view)), 0, 0)[SECOND] for _ in range(2))
        assert all(map(torch.equal, views, again))
        assert not torch.equal(views[0], views[4])  # the same prompt in another group
        assert torch.equal(views[0], views[1]) != per_response

    def test_it_stays_with_its_row_when_batches_are_shuffled(self, make_trainer):
        trainer = make_trainer(PAPO(view=SecondView(strength=0.0)), packing="off")
        met = []
        compute = trainer.compute_loss
        trainer.compute_loss = lambda model, inputs, *a, **k: (met.append(inputs), compute(model, inputs, *a, **k))[1]
        trainer.train()
        assert len(met) == 4
        for inputs in met:  # nothing is masked
            assert torch.equal(torch.cat(inputs[SECOND]), inputs["pixel_values"])

    @pytest.mark.parametrize("kind", ["patches", "grey", "noise", "blur"])
    def test_kinds(self, make_trainer, kind):
        output = roll_out(make_trainer(PAPO(view=SecondView(kind, strength=0.5))), 0)
        assert (torch.cat(output[SECOND]) - output["pixel_values"]).abs().mean() > 0.1

    @pytest.mark.parametrize("packing", ["off", "require"])
    @pytest.mark.parametrize(
        "family",
        [*FAMILIES, *(pytest.param(one, marks=pytest.mark.torchvision) for one in ("cohere2_vision", "gemma4"))],
    )
    def test_divergence_over_the_vocabulary(self, make_trainer, monkeypatch, family, packing):
        """Of a model that scales or caps its logits, too; a few tokens at a time."""
        monkeypatch.setattr("vapo.models.output_layer.LOGITS_AT_ONCE", 3 * 376)
        trainer = make_trainer(WholeDivergence(), family, packing=packing, temperature=0.7)
        WholeDivergence.seen.clear()
        output = roll_out(trainer, 0, 1)
        assert output["advantages"].dim() == 2 and len(WholeDivergence.seen) == 8
        for row, found in enumerate(WholeDivergence.seen):
            image = make_rows()[row // 4]["images"][0]
            with torch.no_grad():
                log_p = distribute_plainly(trainer, output, row, image)
                log_q = distribute_plainly(trainer, output, row, Image.new("RGB", image.size))
            torch.testing.assert_close(found, (log_p.exp() * (log_p - log_q)).sum(-1), rtol=1e-3, atol=1e-6)
            assert found.max() > 1e-6

    def test_weights_of_tokens_see_it_too(self, make_trainer):
        expected = train(make_trainer())
        VPPO.seen.clear()
        for name, parameter in train(make_trainer(VPPO())).items():
            assert torch.equal(parameter, expected[name]), name
        assert len(VPPO.seen) == 16 and min(VPPO.seen) > 0

    @pytest.mark.parametrize("use_reentrant", [True, False])
    def test_gradient_checkpointing_changes_nothing(self, make_trainer, use_reentrant):
        options = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": use_reentrant}}
        algorithm, sgd = PAPO(gamma=0.5), {"optim": "sgd", "max_steps": 1}
        expected = train(make_trainer(algorithm, **sgd))
        for name, parameter in train(make_trainer(algorithm, **sgd, **options)).items():
            torch.testing.assert_close(parameter, expected[name], rtol=1e-5, atol=1e-6)

    def test_refills_have_theirs(self, make_trainer):
        trainer = make_trainer(PAPO(view=SecondView(strength=0.0)), dynamic_sampling="accuracy")
        output = roll_out(trainer, 0, 1)
        assert torch.equal(torch.cat(output[SECOND]), output["pixel_values"])

    def test_in_evaluation(self, make_trainer):
        assert np.isfinite(make_trainer(PAPO(), per_device_eval_batch_size=4).evaluate(make_rows(2))["eval_loss"])

    def test_rows_without_images(self, make_trainer):
        with pytest.raises(DataError, match=r"needs a second view of the image, and the rows have no images"):
            make_trainer(PAPO(), rows=make_rows().remove_columns("images")).train()

    @pytest.mark.parametrize("given", [{"kind": "black"}, {"strength": 1.5}, {"strength": -0.1}, {"patch_pixels": 0}])
    def test_a_view_that_there_is_not(self, given):
        with pytest.raises(
            ConfigError,
            match=r"must be one of patches, grey, noise, blur, the second in \[0, 1\], the last at least 1",
        ):
            SecondView(**given)


class TestSampledImages:
    def test_noise_of_no_strength_is_grpo_bit_for_bit(self, make_trainer):
        expected = train(make_trainer())
        for name, parameter in train(make_trainer(NoisyRollout(strength=0.0))).items():
            assert torch.equal(parameter, expected[name]), name

    @pytest.mark.parametrize("options", [{}, {"dynamic_sampling": "accuracy"}], ids=["plain", "refilled"])
    def test_half_of_a_group_is_sampled_from_noise_and_trained_on_the_clean_image(self, make_trainer, options):
        trainer, prompts = make_trainer(NoisyRollout(), **options), []
        generate = trainer._generate
        trainer._generate = lambda own: (prompts.extend(own), generate(own))[1]
        output = roll_out(trainer, 0, 0)
        assert len(prompts) >= 8 and len(prompts) % 4 == 0
        shown = [np.array(prompt[0]["content"][0]["image"]) for prompt in prompts]
        clean = [np.array(image) for row in make_rows() for image in row["images"]]
        is_clean = [any(np.array_equal(own, image) for image in clean) for own in shown]
        assert is_clean == [True, True, False, False] * (len(prompts) // 4)
        assert not np.array_equal(shown[2], shown[3])
        if not options:
            pixels = process_images(trainer.processing_class, make_rows()[0]["images"]).tensors["pixel_values"]
            assert all(torch.equal(own, pixels[0]) for own in output["pixel_values"])

    def test_evaluation_samples_from_the_clean_image(self, make_trainer):
        trainer = make_trainer(NoisyRollout(strength=1.0), per_device_eval_batch_size=4)
        plain = make_trainer(per_device_eval_batch_size=4)
        lengths = []
        for own in (trainer, plain):
            torch.manual_seed(0)
            lengths.append(own.evaluate(make_rows(2))["eval_completions/mean_length"])
        assert lengths[0] == lengths[1]

    def test_images_of_another_size(self, make_trainer):
        class Shrinking(NoisyRollout):
            def images_to_sample(self, images, member, group_size, rng, progress):
                return [image.resize((28, 28)) for image in images]

        with pytest.raises(ConfigError, match="images of other sizes than the row's own"):
            make_trainer(Shrinking()).train()

    def test_vllm_has_one_prompt_for_a_group(self):
        with pytest.raises(ConfigError, match="TRL gives vLLM one prompt for all of them; set use_vllm=False"):
            OtherImages(SimpleNamespace(use_vllm=True), NoisyRollout())


@pytest.mark.parametrize("algorithm", [PAPO(), NoisyRollout()])
def test_several_turns_are_refused(checkpoints, tmp_path, algorithm):
    config = make_config(tmp_path)
    with pytest.raises(ConfigError, match="tools cannot be combined with an algorithm that puts other images"):
        VAPOTrainer(checkpoints("llava"), even_letters, config, make_rows(), tools=[json.loads], algorithm=algorithm)
