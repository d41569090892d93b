"""Similarity of tokens to the image and attention on it, for algorithms from outside, against plain passes."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from tiny_models import CAPPED, FAMILIES, NOT_PACKED
from training.training_world import even_letters, make_config, make_rows, train
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from trl import GRPOTrainer

from vapo import VAPOTrainer
from vapo.algorithms.algorithm import Algorithm, Needs, SecondView
from vapo.algorithms.options import option
from vapo.errors import ConfigError, ModelError
from vapo.models import image_attention
from vapo.models.image_features import find_feature_module
from vapo.models.images import process_images
from vapo.models.tree.attention_switch import switched_attention
from vapo.models.vision_tokens import find_image_token_id, find_token_type_name, token_types
from vapo.types import TokenScores

PACKINGS = pytest.mark.parametrize("packing", ["off", "require"])


@dataclass(frozen=True, kw_only=True)
class Looking(Algorithm):
    """After arXiv 2604.09349: tokens near the image weigh more, and come nearer to it."""

    strength: float = option(1.0, "How much nearness counts.")
    gamma: float = option(0.0, "Weight of what is added to the loss.")

    @property
    def needs(self):
        return Needs(token_weights=True, token_loss=True, image_similarity=True)

    def token_weights(self, scores):
        return 1 + self.strength * scores.image_similarity

    def token_loss(self, scores):
        return -self.gamma * scores.image_similarity


@dataclass(frozen=True, kw_only=True)
class Attending(Algorithm):
    """Tokens that were chosen while the model looked at the image weigh more."""

    strength: float = option(1.0, "How much attention counts.")

    @property
    def needs(self):
        return Needs(token_weights=True, image_attention="all")

    def token_weights(self, scores):
        return 1 + self.strength * (scores.image_attention - scores.image_attention.mean())


@dataclass(frozen=True, kw_only=True)
class Everything(Algorithm):
    """Asks for all there is, changes nothing, and keeps what it is given."""

    layers: tuple[int, ...] | str = option("all", "Whose attention is measured.")
    second: bool = option(False, "Whether there is a second view.")
    weighed: ClassVar[list[TokenScores]] = []
    updated: ClassVar[list[TokenScores]] = []

    @property
    def needs(self):
        view = SecondView(strength=1.0) if self.second else None
        asked = {"image_similarity": True, "image_attention": self.layers, "second_view": view}
        return Needs(token_weights=True, token_loss=True, **asked)

    def token_weights(self, scores):
        self.weighed.append(scores)
        return torch.ones_like(scores.log_probs)

    def token_loss(self, scores):
        self.updated.append(scores)
        return 0.0 * scores.log_probs


@pytest.fixture(autouse=True)
def forget():
    Everything.weighed.clear()
    Everything.updated.clear()


@pytest.fixture
def make_trainer(checkpoints, tmp_path):
    def make(algorithm=None, family="llava", rows=None, **options) -> VAPOTrainer:
        options = {"max_steps": 2, **({} if algorithm else {"algorithm": "grpo"}), **options}
        rows = make_rows(images_per_row=2) if rows is None else rows
        config = make_config(tmp_path, **options)
        trainer = VAPOTrainer(checkpoints(family), even_letters, config, rows, algorithm=algorithm)
        # A model as it is made attends to all alike, and a wrong key would hardly show.
        for name, parameter in find_feature_module(trainer.model).get_decoder().named_parameters():
            if "q_proj" in name or "k_proj" in name:
                parameter.data *= 8
        return trainer

    return make


def roll_out(trainer, *numbers, rows=None):
    """Return the batch of a rollout: a group of four for each row. Prompts and responses differ in length."""
    torch.manual_seed(0)
    trainer.model.train()
    rows = make_rows(images_per_row=2) if rows is None else rows
    output = trainer._generate_and_score_completions([rows[number] for number in numbers for _ in range(4)])
    return {**output, "rows": [rows[number] for number in numbers for _ in range(4)]}


@contextmanager
def eager(model):
    with switched_attention(find_feature_module(model).get_decoder().config, "eager"):
        yield


def read_plainly(trainer, output, row, layers=slice(None)):
    """Return similarity and attention of a row's response, from all states and all weights of a pass of its own."""
    model, processor = trainer.model, trainer.processing_class
    prompt = output["prompt_ids"][row][output["prompt_mask"][row].bool()]
    response = output["completion_ids"][row][output["completion_mask"][row].bool()]
    ids = torch.cat([prompt, response])[None]
    images = output["rows"][row]["images"]
    inputs = dict(process_images(processor, images).tensors)
    name, image_token_id = find_token_type_name(model, processor), find_image_token_id(model.config)
    if name is not None:
        inputs[name] = torch.tensor([token_types(ids[0].tolist(), image_token_id)])
    if len(images) > 1 and trainer.model.config.model_type == "llava_onevision":
        inputs["batch_num_images"] = torch.tensor([len(images)])
    model.eval()
    states = []
    module = find_feature_module(model)
    handle = module.register_forward_hook(lambda _m, _i, output: states.append(output.last_hidden_state[0]))
    with eager(model):
        seen = model(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            **inputs,
            output_attentions=True,
        )
    handle.remove()
    is_image = ids[0] == image_token_id
    assert is_image.any()
    hidden = states[0]
    similarity = torch.nn.functional.cosine_similarity(
        hidden[len(prompt) :], hidden[is_image].mean(0, keepdim=True), dim=-1
    )
    weights = torch.stack(seen.attentions)[layers, 0, :, len(prompt) - 1 : -1]
    return similarity, weights[..., is_image].sum(-1).mean((0, 1)).detach()


class TestValues:
    @PACKINGS
    @pytest.mark.parametrize("family", FAMILIES)
    def test_equal_those_of_plain_passes(self, make_trainer, family, packing):
        if packing == "require" and family in (*NOT_PACKED, *CAPPED):
            pytest.skip("some of its layers have no attention, or its logits are capped")
        trainer = make_trainer(Everything(), family, packing=packing)
        trainer.current_gradient_accumulation_steps = 1
        output = roll_out(trainer, 0, 1)
        assert not output["prompt_mask"].all() and not output["completion_mask"].all()
        trainer.compute_loss(trainer.model, output)
        assert len(Everything.weighed) == len(Everything.updated) == 8
        found = torch.cat([scores.image_attention for scores in Everything.weighed])
        assert found.max() - found.min() > 0.05
        for row, (weighed, updated) in enumerate(zip(Everything.weighed, Everything.updated, strict=True)):
            similarity, attention = read_plainly(trainer, output, row)
            for scores in (weighed, updated):
                assert scores.image_similarity.shape == scores.image_attention.shape == scores.log_probs.shape
                torch.testing.assert_close(scores.image_similarity, similarity, atol=1e-5, rtol=0)
                torch.testing.assert_close(scores.image_attention, attention, atol=1e-5, rtol=0)

    @PACKINGS
    def test_layers_by_number(self, make_trainer, packing):
        output = roll_out(trainer := make_trainer(Everything(layers=(-1,)), packing=packing), 0, 1)
        for row, scores in enumerate(Everything.weighed):
            _, attention = read_plainly(trainer, output, row, slice(-1, None))
            torch.testing.assert_close(scores.image_attention, attention, atol=1e-5, rtol=0)

    @PACKINGS
    @pytest.mark.parametrize("beta", [0.0, 0.1])
    def test_come_from_the_pass_that_trl_makes_anyway(self, make_trainer, monkeypatch, packing, beta):
        passes = []
        score = VAPOTrainer._get_per_token_logps_and_entropies
        monkeypatch.setattr(
            VAPOTrainer,
            "_get_per_token_logps_and_entropies",
            lambda self, model, *args, **kwargs: passes.append(model) or score(self, model, *args, **kwargs),
        )
        trainer = make_trainer(Everything(), packing=packing, num_iterations=2, beta=beta)
        output = roll_out(trainer, 0, 1)
        assert passes == [trainer.model] + [trainer.ref_model] * (beta > 0)
        for row, scores in enumerate(Everything.weighed):
            similarity, attention = read_plainly(trainer, output, row)
            length = len(scores.log_probs)
            assert scores.entropies is not None and scores.entropies.all()
            torch.testing.assert_close(scores.log_probs, output["old_per_token_logps"][row, :length])
            torch.testing.assert_close(scores.image_similarity, similarity, atol=1e-5, rtol=0)
            torch.testing.assert_close(scores.image_attention, attention, atol=1e-5, rtol=0)

    @pytest.mark.parametrize("implementation", ["eager", "sdpa"])
    def test_whatever_attends(self, make_trainer, implementation):
        trainer = make_trainer(Everything(), packing="off")
        trainer.model.set_attn_implementation(implementation)
        output = roll_out(trainer, 0, 1)
        for row, scores in enumerate(Everything.weighed):
            _, attention = read_plainly(trainer, output, row)
            torch.testing.assert_close(scores.image_attention, attention, atol=1e-5, rtol=0)

    @PACKINGS
    def test_without_an_image_they_are_0(self, make_trainer, packing):
        rows = make_rows().remove_columns("images")
        roll_out(make_trainer(Everything(), rows=rows, packing=packing), 0, rows=rows)
        assert len(Everything.weighed) == 4
        for scores in Everything.weighed:
            assert not scores.image_similarity.any() and not scores.image_attention.any()

    @PACKINGS
    def test_a_second_view_has_its_own(self, make_trainer, packing):
        roll_out(make_trainer(Everything(second=True), packing=packing), 0, 1)
        for scores in Everything.weighed:
            for own, second in (
                (scores.image_similarity, scores.second.image_similarity),
                (scores.image_attention, scores.second.image_attention),
            ):
                assert own.shape == second.shape and not torch.equal(own, second)

    def test_in_bfloat16(self, make_trainer):
        make_trainer(Everything(), bf16=True, max_steps=1).train()
        for scores in Everything.weighed + Everything.updated:
            assert scores.image_similarity.dtype == scores.image_attention.dtype == torch.float32
            assert scores.image_attention.min() >= 0 and scores.image_attention.max() <= 1

    def test_in_evaluation(self, make_trainer):
        metrics = make_trainer(Everything(), per_device_eval_batch_size=4).evaluate(make_rows(2))
        assert np.isfinite(metrics["eval_loss"]) and len(Everything.updated) == 8


class TestGradient:
    @PACKINGS
    def test_flows_through_similarity_alone(self, make_trainer, packing):
        trainer = make_trainer(Everything(), packing=packing)
        trainer.current_gradient_accumulation_steps = 1
        trainer.compute_loss(trainer.model, roll_out(trainer, 0))
        for weighed, updated in zip(Everything.weighed, Everything.updated, strict=True):
            assert not weighed.image_similarity.requires_grad
            assert updated.image_similarity.requires_grad and not updated.image_attention.requires_grad

    @PACKINGS
    @pytest.mark.parametrize("family", ["llava", pytest.param("qwen2_5_vl", marks=pytest.mark.torchvision)])
    def test_is_that_of_plain_passes(self, make_trainer, family, packing):
        trainer = make_trainer(Looking(gamma=0.5), family, packing=packing, loss_type="grpo", beta=0.0)
        trainer.current_gradient_accumulation_steps = 1
        output = roll_out(trainer, 0, 1)
        added = trainer.compute_loss(trainer.model, output) - GRPOTrainer._compute_loss(trainer, trainer.model, output)
        trainer.model.zero_grad()
        added.backward()
        grads = {n: p.grad.clone() for n, p in trainer.model.named_parameters() if p.grad is not None}
        trainer.model.zero_grad()
        expected = torch.stack([-0.5 * read_plainly(trainer, output, row)[0].mean() for row in range(8)]).mean()
        expected.backward()
        torch.testing.assert_close(added, expected, rtol=1e-4, atol=1e-5)
        norm = torch.stack([grad.norm() for grad in grads.values()]).norm()
        for name, parameter in trainer.model.named_parameters():
            if parameter.grad is not None:
                assert (parameter.grad - grads[name]).norm() < 1e-2 * max(parameter.grad.norm(), 1e-2 * norm), name

    @pytest.mark.parametrize("use_reentrant", [True, False])
    def test_checkpointing_changes_nothing(self, make_trainer, use_reentrant):
        options = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": use_reentrant}}
        algorithm, sgd = Looking(gamma=0.5), {"optim": "sgd", "max_steps": 1}
        expected = train(make_trainer(algorithm, **sgd))
        for name, parameter in train(make_trainer(algorithm, **sgd, **options)).items():
            torch.testing.assert_close(parameter, expected[name], rtol=1e-5, atol=1e-6)
        train(make_trainer(Everything(), **sgd, **options))


class TestTraining:
    @PACKINGS
    @pytest.mark.parametrize("algorithm", [Looking(strength=0.0), Attending(strength=0.0), Everything()])
    def test_a_weight_of_0_is_grpo_bit_for_bit(self, make_trainer, algorithm, packing):
        expected = train(make_trainer(packing=packing))
        for name, parameter in train(make_trainer(algorithm, packing=packing)).items():
            assert torch.equal(parameter, expected[name]), name

    @pytest.mark.parametrize("algorithm", [Looking(), Looking(gamma=1.0), Attending()])
    def test_methods_train(self, make_trainer, algorithm):
        plain, trained = train(make_trainer()), train(make_trainer(algorithm))
        assert any(not torch.equal(parameter, plain[name]) for name, parameter in trained.items())

    @PACKINGS
    def test_only_passes_that_are_asked_measure(self, make_trainer, packing, monkeypatch):
        """Neither the reference model's pass nor any pass of a method without these needs."""
        measured = []
        measure = image_attention._measure
        monkeypatch.setattr(image_attention, "_measure", lambda *a: (measured.append(1), measure(*a))[1])
        make_trainer(packing=packing, max_steps=1).train()
        assert not measured
        trainer = make_trainer(Attending(), packing=packing, max_steps=1)
        trainer.train()
        assert len(measured) == 8 * find_feature_module(trainer.model).get_decoder().config.num_hidden_layers

    def test_attention_is_left_as_it_was(self, make_trainer):
        before = ALL_ATTENTION_FUNCTIONS.get_interface
        trainer = make_trainer(Everything())
        config = find_feature_module(trainer.model).get_decoder().config
        implementation = config._attn_implementation
        trainer.train()
        assert ALL_ATTENTION_FUNCTIONS.get_interface == before and config._attn_implementation == implementation
        module = find_feature_module(trainer.model)
        assert not module._forward_hooks and not module._forward_pre_hooks
        assert trainer._token_credit.streams is None


class TestRefusals:
    @pytest.mark.parametrize("layers", [(2,), (-3,), (), (0, 9)])
    def test_layers_that_there_are_not(self, make_trainer, layers):
        with pytest.raises(ConfigError, match=r"cannot be had: the language model attends in layers 0, 1; name some"):
            make_trainer(Everything(layers=layers))

    def test_a_model_that_attends_by_itself(self, make_trainer, monkeypatch):
        monkeypatch.setattr("vapo.models.image_attention._INTERFACE", "nothing that it imports")
        with pytest.raises(ModelError, match="does not take its attention from transformers' AttentionInterface"):
            make_trainer(Attending(), packing="off")
        make_trainer(Looking(), packing="off")

    def test_flex_attention(self, make_trainer):
        with pytest.raises(ConfigError, match="'flex_attention' does not say which tokens"):
            make_trainer(Attending(), model_init_kwargs={"attn_implementation": "flex_attention"})

    def test_compiled_models(self, make_trainer):
        with pytest.raises(ConfigError, match="cannot be measured in a compiled model; set torch_compile=False"):
            make_trainer(Attending(), torch_compile=True, packing="off")
