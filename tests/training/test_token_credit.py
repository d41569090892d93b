"""What an algorithm does token by token: weights of the advantage, and losses of its own."""

from __future__ import annotations

import dataclasses
import sys
from types import ModuleType
from typing import ClassVar

import pytest
import torch
from tiny_models import tiny_tokenizer
from training.training_world import (
    assert_same_parameters,
    make_config,
    make_rows,
    metrics_of,
    parameters_of,
)

from vapo import VAPOTrainer
from vapo.algorithms.algorithm import Algorithm, Needs
from vapo.algorithms.options import option
from vapo.errors import ConfigError
from vapo.training import dynamic_sampling
from vapo.training.rollout_batch import RolloutBatch


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenMethod(Algorithm):
    """Weighs tokens and adds to their loss, in ways that can be told by hand."""

    weight: float = option(1.0, "What tokens weigh.")
    loss: float = option(0.0, "What is added to the loss of each.")

    @property
    def needs(self):
        return Needs(token_weights=True, token_loss=True)

    def token_weights(self, scores):
        assert not scores.log_probs.requires_grad and scores.entropies is not None
        return torch.full_like(scores.log_probs, self.weight)

    def token_loss(self, scores):
        return self.loss * scores.log_probs


# What is left are two letters and line breaks.
SILENCED = sorted({*range(len(tiny_tokenizer()) + 4)} - {*tiny_tokenizer()("ab\n").input_ids})


def keep_scored(kept):
    """Return `RolloutBatch.reward` that also keeps what it returns."""
    reward = RolloutBatch.reward

    def keep(self, *args):
        kept.append(reward(self, *args))
        return kept[-1]

    return keep


class TestTokens:
    """An algorithm from outside the package, found by its import path."""

    @pytest.fixture(autouse=True)
    def package(self, monkeypatch):
        module = ModuleType("outside_package")
        module.TokenMethod = TokenMethod
        monkeypatch.setitem(sys.modules, "outside_package", module)

    def train(self, make_trainer, **options):
        trainer = make_trainer(algorithm="outside_package:TokenMethod", max_steps=2, **options)
        trainer.train()
        return parameters_of(trainer)

    @pytest.mark.parametrize("packing", ["off", "require"])
    def test_weights_of_one_and_nothing_added_are_grpo_bit_for_bit(self, make_trainer, packing):
        plain = make_trainer(algorithm="grpo", max_steps=2, packing=packing)
        plain.train()
        assert_same_parameters(parameters_of(plain), self.train(make_trainer, packing=packing))

    def test_weights_multiply_the_advantage_of_each_token(self, make_trainer):
        rows = make_rows()
        trainer = make_trainer(algorithm="outside_package:TokenMethod", algorithm_options={"weight": 0.5})
        plain = make_trainer(algorithm="grpo")
        batches = []
        for one in (trainer, plain):
            torch.manual_seed(0)
            batches.append(one._generate_and_score_completions([rows[0]] * 4 + [rows[1]] * 4))
        weighed, expected = batches[0]["advantages"], batches[1]["advantages"]
        assert weighed.shape == batches[0]["completion_mask"].shape and expected.abs().max() > 0
        within = batches[0]["completion_mask"].bool()
        torch.testing.assert_close(weighed[within], (0.5 * expected[:, None].expand_as(weighed))[within])

    @pytest.mark.parametrize("packing", ["off", "require"])
    def test_a_loss_on_log_probabilities_moves_them(self, make_trainer, packing):
        """With rewards that are all equal, the added loss alone has a gradient."""
        trained = {}
        for loss in (0.0, 1.0):
            trainer = make_trainer(
                algorithm="outside_package:TokenMethod",
                algorithm_options={"loss": loss},
                reward_funcs=lambda completions, **_: [1.0] * len(completions),
                packing=packing,
                beta=0.0,
                max_steps=1,
            )
            before = parameters_of(trainer)
            trainer.train()
            after = parameters_of(trainer)
            trained[loss] = any(not torch.equal(before[name], after[name]) for name in before)
        assert trained == {0.0: False, 1.0: True}

    def test_verdicts_weigh_the_tokens_before_their_anchors(self, make_trainer):
        rows = make_rows()
        options = {"max_completion_length": 96, "generation_kwargs": {"suppress_tokens": SILENCED}}
        trainer = make_trainer(algorithm="vapo_tokens", perception_weight=0.0, verdict="soft", **options)
        plain = make_trainer(algorithm="grpo", **options)
        batches = []
        for one in (trainer, plain):
            torch.manual_seed(0)
            with pytest.MonkeyPatch.context() as patch:
                scored = []
                patch.setattr(RolloutBatch, "reward", keep_scored(scored))
                batches.append(one._generate_and_score_completions([rows[0]] * 4 + [rows[1]] * 4))
            if one is trainer:
                judged = scored[0]
        weighed = []
        for own, tokens, whole in zip(judged, batches[0]["advantages"], batches[1]["advantages"], strict=True):
            length = len(own.rollout.completion_ids)
            weights = trainer.algorithm.verdict_weights(own.verdicts, length, float(whole)) or [1.0] * length
            weighed += weights
            torch.testing.assert_close(tokens[:length], whole * torch.tensor(weights))
        assert len(set(weighed)) > 3

    def test_refills_and_token_weights_go_together(self, make_trainer, monkeypatch):
        monkeypatch.setattr(dynamic_sampling, "MAX_REFILLS", 0)
        trainer = make_trainer(
            algorithm="outside_package:TokenMethod",
            dynamic_sampling="accuracy",
            reward_funcs=lambda completions, **_: [1.0] * 4 + [1.0, 0.0, 0.0, 0.0],
        )
        trainer.model.train()
        rows = make_rows()
        output = trainer._generate_and_score_completions([rows[0]] * 4 + [rows[1]] * 4)
        assert output["advantages"].dim() == 2 and (output["advantages"][:4] == 0).all()

    def test_a_loss_that_is_averaged_in_an_unknown_way(self, make_trainer, monkeypatch):
        monkeypatch.setattr("vapo.training.aggregation._NORMALISERS", {})
        with pytest.raises(ConfigError, match="how loss_type='dapo' averages them is not known"):
            make_trainer(algorithm="outside_package:TokenMethod")

    def test_an_object_that_is_no_algorithm(self, make_trainer):
        with pytest.raises(ConfigError, match=r"algorithm is a str; derive it from vapo\.algorithms"):
            make_trainer(trainer_options={"algorithm": "grpo"})

    def test_a_bonus_may_need_no_claims(self, make_trainer):
        """It is asked of the answer alone, as on any other engine."""

        @dataclasses.dataclass(frozen=True, kw_only=True)
        class Doubling(Algorithm):
            @property
            def needs(self):
                return Needs(bonus=True)

            def reward(self, accuracy, format, verdicts, progress):
                assert verdicts == ()
                return dataclasses.replace(super().reward(accuracy, format, verdicts, progress), bonus=accuracy)

        rows = make_rows().remove_columns("claims")
        trainer = make_trainer(rows=rows, max_steps=1, trainer_options={"algorithm": Doubling()})
        trainer.train()
        assert metrics_of(trainer, "rewards/perception_bonus/mean") == metrics_of(trainer, "rewards/even_letters/mean")
        assert not metrics_of(trainer, "perception/gate_open")

    def test_refills_go_through_a_rollout_hook_of_ones_own(self, checkpoint, tmp_path, monkeypatch):
        monkeypatch.setattr(dynamic_sampling, "MAX_REFILLS", 2)

        class Counting(VAPOTrainer):
            prompts = 0

            def _generate(self, prompts):
                self.prompts += len(prompts)
                return super()._generate(prompts)

        config = make_config(tmp_path, dynamic_sampling="accuracy", max_steps=1)
        never = lambda completions, **_: [0.0] * len(completions)  # noqa: E731
        trainer = Counting(checkpoint, reward_funcs=never, args=config, train_dataset=make_rows())
        trainer.train()
        assert trainer.prompts == 8 * 3  # the first rollout and two refills of all groups


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResponseMethod(Algorithm):
    """Doubles the first response of each group, and adds what it summed up to the others' advantages."""

    adds: bool = option(False, "Whether summaries are added to advantages.")
    met: ClassVar[list[list[list[float]]]] = []

    @property
    def needs(self):
        return Needs(summary=True, advantages=self.adds, accuracy=False)

    def summarize(self, scores):
        assert not scores.log_probs.requires_grad
        return float(len(scores.log_probs))

    def response_weights(self, groups):
        self.met.append([list(group) for group in groups])
        return [[2.0, *[1.0] * (len(group) - 1)] if group else [] for group in groups]

    def added_advantages(self, group, progress):
        return [0.0 if one.summary is None else one.summary for one in group]


class TestResponses:
    @pytest.fixture(autouse=True)
    def forget(self):
        ResponseMethod.met.clear()

    def roll_out(self, make_trainer, method=None, **options):
        rows = make_rows()
        trainer = make_trainer(trainer_options={"algorithm": method} if method else {}, **options)
        trainer.model.train()
        torch.manual_seed(0)
        return trainer._generate_and_score_completions([rows[0]] * 4 + [rows[1]] * 4)

    def test_are_weighed_by_groups_in_their_order(self, make_trainer):
        plain = self.roll_out(make_trainer, algorithm="grpo")["advantages"]
        output = self.roll_out(make_trainer, ResponseMethod())
        lengths = output["completion_mask"].sum(1).double().tolist()
        assert ResponseMethod.met == [[lengths[:4], lengths[4:]]] and len(set(lengths)) > 1
        assert plain.all() and torch.equal(output["advantages"], plain * torch.tensor([2.0, 1, 1, 1] * 2))

    def test_summaries_are_what_is_added_for(self, make_trainer):
        plain = self.roll_out(make_trainer, algorithm="grpo")["advantages"]
        output = self.roll_out(make_trainer, ResponseMethod(adds=True))
        added = plain + output["completion_mask"].sum(1)
        torch.testing.assert_close(output["advantages"], added * torch.tensor([2.0, 1, 1, 1] * 2))

    def test_what_is_not_trained_on_takes_no_part(self, make_trainer, monkeypatch):
        monkeypatch.setattr(dynamic_sampling, "MAX_REFILLS", 0)
        scores = lambda completions, **_: [1.0] * 4 + [1.0, 0.0, 0.0, 0.0]  # noqa: E731
        output = self.roll_out(make_trainer, ResponseMethod(), dynamic_sampling="accuracy", reward_funcs=scores)
        assert [len(group) for group in ResponseMethod.met[0]] == [0, 4]
        assert (output["advantages"][:4] == 0).all() and output["advantages"][4:].all()

    def test_cut_off_responses_take_no_part(self, make_trainer):
        output = self.roll_out(make_trainer, ResponseMethod(), mask_truncated_completions=True)
        counted = output["completion_mask"].sum(1) > 0
        assert 0 < counted.sum() < 8
        assert [len(group) for group in ResponseMethod.met[0]] == [int(counted[:4].sum()), int(counted[4:].sum())]
