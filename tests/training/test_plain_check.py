"""A run stops before its first update where TRL's way with a model gives other numbers than the model's own."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from training.training_world import make_rows
from trl import GRPOTrainer

from vapo.errors import ModelError
from vapo.models.policy.plain_pass import PlainPass
from vapo.probing.transformers_prober import TransformersProber
from vapo.types import Verdict


@pytest.mark.parametrize("packing", ["auto", "off"])
def test_log_probabilities_that_are_not_the_models_own_stop_a_run(make_trainer, packing):
    trainer = make_trainer(packing=packing)
    before = [parameter.clone() for parameter in trainer.model.parameters()]
    score = trainer._get_per_token_logps_and_entropies

    def scaled(*args, **kwargs):  # as a head does that leaves out a factor of the logits
        log_probs, entropies, loss = score(*args, **kwargs)
        trainer._last_scores = type(trainer._last_scores)(log_probs * 1.1, entropies, [])
        return log_probs * 1.1, entropies, loss

    trainer._get_per_token_logps_and_entropies = scaled
    with pytest.raises(ModelError, match=r"log-probabilities in training differ by 0\.\d+ from the model's own"):
        trainer.train()
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True))


def test_a_prompt_with_more_tokens_than_its_own_stops_a_run(make_trainer, monkeypatch):
    tokenize = GRPOTrainer._tokenize_prompts

    def pad(self, prompts):
        ids, *others = tokenize(self, prompts)
        longest = max(map(len, ids)) + 1
        return [[self._tokenizer.pad_token_id] * (longest - len(own)) + own for own in ids], *others

    monkeypatch.setattr(GRPOTrainer, "_tokenize_prompts", pad)
    with pytest.raises(ModelError, match=r"row 0 of the first rollout: its prompt has \d+ tokens, and the processor"):
        make_trainer().train()


def test_answers_that_are_not_the_models_own_stop_a_run(make_trainer, monkeypatch):
    score = TransformersProber.score

    def shifted(self, *args, **options):
        return [Verdict(verdict.probe, verdict.p_true + 0.01) for verdict in score(self, *args, **options)]

    monkeypatch.setattr(TransformersProber, "score", shifted)
    with pytest.raises(ModelError, match=r"answers to probes differ by 0\.01"):
        make_trainer(accuracy_gate="none").train()


@pytest.mark.parametrize(
    "options", [{"temperature": 0.7}, {"num_iterations": 2, "loss_type": "grpo"}, {"mask_truncated_completions": True}]
)
def test_a_run_is_looked_at_once_whatever_its_options(make_trainer, monkeypatch, options):
    reads: list[int] = []
    read = PlainPass.read
    monkeypatch.setattr(PlainPass, "read", lambda self, *args: reads.append(1) or read(self, *args))
    make_trainer(accuracy_gate="none", **options).train()
    assert len(reads) == 2  # an answer, and a response


def test_images_are_kept_as_they_were_before_rewards_drew_on_them(make_trainer):
    def draw(completions, images, **_):
        for [image] in images:
            image.paste((1, 2, 3), (0, 0, 9, 9))
        return [float(number % 2) for number in range(len(completions))]

    make_trainer(rows=make_rows(2), reward_funcs=draw, max_steps=1).train()


@pytest.mark.parametrize(
    ("shift", "dtype", "options", "stops"),
    [
        (0.0, torch.float32, {}, False),
        (0.01, torch.float32, {}, True),
        (0.01, torch.bfloat16, {}, False),  # as the engine rounds
        (0.2, torch.bfloat16, {}, True),
        (0.2, torch.float32, {"top_p": 0.9}, False),  # which makes other probabilities of those of the model
    ],
)
def test_an_engine_that_samples_from_another_model_stops_a_run(
    make_trainer, monkeypatch, shift, dtype, options, stops
):
    roll_out = GRPOTrainer._generate_and_score_completions

    def roll_out_on_vllm(self, rows):
        output = roll_out(self, rows)
        return {**output, "sampling_per_token_logps": output["old_per_token_logps"] + shift}

    monkeypatch.setattr(GRPOTrainer, "_generate_and_score_completions", roll_out_on_vllm)
    trainer = make_trainer(num_iterations=2, loss_type="grpo", max_steps=1, **options)
    llm = SimpleNamespace(model_config=SimpleNamespace(dtype=dtype))
    trainer.vllm_generation = SimpleNamespace(mode="colocate", llm=llm, generation_kwargs={"logit_bias": {}})
    if stops:
        with pytest.raises(ModelError, match=rf"log-probabilities in vLLM differ by {shift} from the model's own"):
            trainer.train()
    else:
        trainer.train()
