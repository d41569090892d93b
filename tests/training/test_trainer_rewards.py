"""What completions earn in training."""

from __future__ import annotations

import numpy as np
import pytest
from training.training_world import (
    CLAIMS,
    PerfectPerceiver,
    even_letters,
    length_reward,
    make_images,
    make_rows,
    metrics_of,
)

from vapo import load_samples, make_training_rows
from vapo.algorithms.vapo import VAPO
from vapo.core.advantages import group_advantages
from vapo.errors import DataError
from vapo.training.rewards import accuracy_reward
from vapo.types import Verdict


class TestReward:
    def test_advantages_are_those_of_the_algorithms_totals(self, make_trainer, monkeypatch):
        trainer = make_trainer(perception_weight=0.3, accuracy_gate="none")
        rewards = []
        compose = VAPO.reward

        def keep_rewards(self, *args):
            rewards.append(compose(self, *args))
            return rewards[-1]

        monkeypatch.setattr(VAPO, "reward", keep_rewards)
        trainer.model.train()
        rows = make_rows()
        output = trainer._generate_and_score_completions([rows[0]] * 4 + [rows[1]] * 4)
        del rewards[8:]  # of halves of the probes, for a metric
        assert len(rewards) == 8 and any(reward.bonus > 0 for reward in rewards)
        expected = group_advantages([reward.total for reward in rewards], 4)
        np.testing.assert_allclose(output["advantages"], expected, atol=1e-4)

    def test_what_no_function_scores_is_left_out_of_its_group(self, make_trainer):
        def score_all_but_the_second(completions, **_):
            return [1.0, None, 0.0, 0.0] * (len(completions) // 4)

        trainer = make_trainer(reward_funcs=score_all_but_the_second, perception_weight=0.3)
        trainer.prober = PerfectPerceiver()
        output = trainer._generate_and_score_completions([make_rows()[0]] * 4)
        expected = group_advantages([1.3, float("nan"), 0.0, 0.0], 4)
        assert expected[1] == 0
        np.testing.assert_allclose(output["advantages"], expected, atol=1e-4)

    def test_trl_warns_of_completions_that_no_function_scores(self, make_trainer, monkeypatch):
        warnings = []
        monkeypatch.setattr("trl.trainer.grpo_trainer.logger.warning", warnings.append)
        trainer = make_trainer(reward_funcs=lambda completions, **_: [None] * len(completions))
        output = trainer._generate_and_score_completions([make_rows()[0]] * 4)
        assert "All reward functions returned None" in warnings[0]
        assert (output["advantages"] == 0).all()

    def test_a_function_that_scores_others_does_not_open_the_gate(self, make_trainer):
        def no_accuracy(completions, **_):
            return [1.0, None, None, 0.0]

        def always(completions, **_):
            return [1.0] * len(completions)

        trainer = make_trainer(reward_funcs=[no_accuracy, always], perception_weight=0.5)
        trainer.prober = PerfectPerceiver()
        output = trainer._generate_and_score_completions([make_rows()[0]] * 4)
        np.testing.assert_allclose(output["advantages"], group_advantages([2.5, 1.0, 1.0, 1.0], 4), atol=1e-4)

    @pytest.mark.parametrize("weight", [0.001, 0.1, 10.0])
    def test_the_bonus_is_normalised_then_weighted_where_trl_normalises_each_reward(self, make_trainer, weight):
        grades = [1.0, 1.0, 0.0, 0.0]

        class Perceiver:
            def score(self, probes, keep_in_step_with=None):
                return [Verdict(probe, 0.9 if probe.claim.is_true else 0.3) for probe in probes]

        trainer = make_trainer(
            reward_funcs=lambda completions, **_: grades,
            multi_objective_aggregation="normalize_then_sum",
            perception_weight=weight,
            verdict="soft",
            accuracy_gate="none",
        )
        trainer.prober = Perceiver()
        output = trainer._generate_and_score_completions([make_rows()[0]] * 4)
        perception = trainer._logs["rewards"]["perception_bonus"]
        # Unweighted: soft hits of .9 and .7, weighed by depth; 0 where a completion has no boundary.
        assert len(set(perception)) > 1 and all(value == 0 or 0.69 < value < 0.91 for value in perception)

        def normalise(values):
            return (np.array(values) - np.mean(values)) / (np.std(values, ddof=1) + 1e-4)

        summed = normalise(grades) + weight * normalise(list(perception))
        np.testing.assert_allclose(output["advantages"], normalise(summed), atol=1e-4)

    def test_weights_and_processing_classes_are_counted_over_the_users_functions(self, make_trainer, checkpoint):
        own = [even_letters, length_reward]
        trainer = make_trainer(
            reward_funcs=own, reward_weights=[2.0, 0.5], trainer_options={"reward_processing_classes": [None, None]}
        )
        assert own == [even_letters, length_reward]
        assert trainer.reward_func_names == ["even_letters", "length_reward", "perception_bonus"]
        np.testing.assert_allclose(trainer.reward_weights, [2.0, 0.5, 1.0])
        assert trainer.reward_processing_classes == [None, None, None]
        with pytest.raises(ValueError, match=r"must match number of reward functions \(2\)"):
            make_trainer(reward_funcs=own, reward_weights=[1.0])

    def test_a_perfect_perceiver_scores_one_whatever_the_order_of_claims(self, make_trainer):
        trainer = make_trainer(max_steps=2)
        trainer.prober = PerfectPerceiver()
        trainer.train()
        assert set(metrics_of(trainer, "perception/accuracy")) == {1.0}
        assert set(metrics_of(trainer, "perception/reward")) == {1.0}

    def test_built_in_rewards_and_their_weights(self, make_trainer):
        trainer = make_trainer(reward_funcs=None, preset="released", max_steps=1, perception_weight=0.1)
        assert trainer.reward_func_names == ["accuracy_reward", "format_reward", "perception_bonus"]
        np.testing.assert_allclose(trainer.reward_weights, [0.8, 0.1, 1.0])
        assert (trainer.beta, trainer.epsilon_high, trainer.loss_type) == (0.02, 0.28, "dapo")
        trainer.train()

    def test_gate_reads_the_named_reward(self, make_trainer):
        trainer = make_trainer(reward_funcs=[length_reward, even_letters], gate_reward="even_letters", max_steps=1)
        trainer.train()
        gate, accuracy = metrics_of(trainer, "perception/gate_open"), metrics_of(trainer, "rewards/even_letters/mean")
        np.testing.assert_allclose(gate, accuracy, atol=1e-6)

    def test_group_sharing_asks_every_member_the_same(self, make_trainer, monkeypatch):
        asked = []
        probes = VAPO.probes
        monkeypatch.setattr(VAPO, "probes", lambda self, r, rng: asked.append(probes(self, r, rng)) or asked[-1])
        trainer = make_trainer(anchor_sharing="group", max_steps=1)
        trainer.train()
        for group in range(0, len(asked), 4):
            members = [[probe.claim for probe in own] for own in asked[group : group + 4] if own]
            assert members and all(claims == members[0] for claims in members)
        assert any(asked[0][0].claim != other[0].claim for other in asked[4:] if other)


class TestAnswers:
    def test_built_in_rewards_grade_by_a_solution(self, make_trainer, monkeypatch):
        graded = []
        monkeypatch.setattr(
            "vapo.training.rewards.read_reference", lambda value, column: graded.append((column, value)) or value
        )
        rows = make_rows().rename_column("answer", "solution")
        make_trainer(rows=rows, reward_funcs=None, max_steps=1).train()
        assert graded == [("solution", "1")] * 8

    @pytest.mark.parametrize("reward_funcs", [None, accuracy_reward, [even_letters, accuracy_reward]])
    def test_no_answers_to_grade_by(self, make_trainer, reward_funcs):
        rows = make_rows().rename_column("answer", "reply")
        with pytest.raises(DataError, match=r"no column 'answer' or 'solution'.*pass reward_funcs of your own"):
            make_trainer(rows=rows, reward_funcs=reward_funcs)
        make_trainer(rows=rows)


def test_a_reward_of_ones_own_reads_a_column_of_ones_own(make_trainer):
    rows = [
        {"problem": "?", "answer": "1", "image": image, "claims": CLAIMS, "boxes": [[number, 2]]}
        for number, image in enumerate(make_images(6))
    ]
    seen = []

    def iou(completions, boxes, **_):
        seen.extend(boxes)
        return [0.0] * len(completions)

    make_trainer(make_training_rows(load_samples(rows)), reward_funcs=iou, max_steps=1).train()
    assert seen and all(box in [[[number, 2]] for number in range(6)] for box in seen)


def graded(completions, completion_ids, **_):
    """Grade by length, from 0.7 to 0.9; no answer is wholly right."""
    return [0.7 + 0.01 * min(len(ids), 20) for ids in completion_ids]


def test_a_graded_reward_opens_the_gate_at_its_threshold(make_trainer, caplog):
    trainer = make_trainer(reward_funcs=graded, max_steps=1, gate_threshold=0.75)
    trainer.train()
    (gate,), (right,) = metrics_of(trainer, "perception/gate_open"), metrics_of(trainer, "rewards/graded/mean")
    assert 0 < gate <= 1 and right < 0.95
    assert metrics_of(trainer, "advantage/all_wrong_share") == [0.0]
    assert "trains plain GRPO" not in caplog.text


@pytest.mark.parametrize(("gate", "warned"), [("strict", True), ("graded", False), ("none", False)])
def test_a_graded_reward_that_never_opens_the_gate_is_told_once(make_trainer, caplog, monkeypatch, gate, warned):
    monkeypatch.setattr("vapo.training.reward_columns.ANSWERS_BEFORE_WARNING", 8)
    make_trainer(reward_funcs=graded, max_steps=3, accuracy_gate=gate).train()
    assert caplog.text.count("the reward function 'graded' opens the accuracy gate at gate_threshold=1.0") == warned
