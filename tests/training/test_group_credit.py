"""Advantages in two parts, and whose advantages move the policy."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from training.training_world import make_config, make_rows, metrics_of

from vapo.algorithms.vapo import VAPO
from vapo.core.advantages import group_advantages
from vapo.training.checks import find_idle_bonus
from vapo.types import Verdict

GRADES = (1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0)
"""A mixed group and one that is all right."""


class SeesMoreInLongerResponses:
    """Gives the label of a claim the more probability the longer the response is."""

    def score(self, probes, keep_in_step_with=None):
        return [
            Verdict(probe, p if probe.claim.is_true else 1 - p)
            for probe in probes
            for p in [0.5 + len(probe.rollout.completion_ids) / 100]
        ]


def by_grades(completions, **_):
    return list(GRADES)


def roll_out(make_trainer, monkeypatch, **options):
    """Return a trainer, its output for two groups of four, and what it rewarded."""
    rewards = []
    reward = VAPO.reward
    monkeypatch.setattr(VAPO, "reward", lambda self, *given: rewards.append(reward(self, *given)) or rewards[-1])
    options = {"reward_funcs": by_grades, "verdict": "soft", "per_device_train_batch_size": 8} | options
    trainer = make_trainer(gradient_accumulation_steps=1, **options)
    trainer.prober = SeesMoreInLongerResponses()
    trainer.model.train()
    rows = make_rows()
    output = trainer._generate_and_score_completions([rows[0]] * 4 + [rows[1]] * 4)
    return trainer, output["advantages"].numpy(), rewards[:8]


def standardise(values, floor=0.05):
    values = np.asarray(values)
    return (values - values.mean()) / max(values.std(ddof=1), floor)


def test_both_parts_are_normalised_by_themselves(make_trainer, monkeypatch):
    trainer, advantages, rewards = roll_out(
        make_trainer, monkeypatch, perception_credit="advantage", perception_weight=0.5
    )
    assert trainer.reward_func_names == ["by_grades"]
    probed = np.array([reward.perception is not None for reward in rewards]) & (np.array(GRADES) == 1)
    perception = np.array([reward.perception or 0.0 for reward in rewards])
    assert probed.reshape(2, 4).sum(axis=1).min() > 1
    expected = group_advantages(GRADES, 4)
    for group in (slice(0, 4), slice(4, 8)):
        expected[group][probed[group]] += 0.5 * standardise(perception[group][probed[group]])
    np.testing.assert_allclose(advantages, expected, atol=1e-5)
    np.testing.assert_allclose(list(trainer._logs["advantages"]), expected, atol=1e-5)


@pytest.mark.parametrize("credit", ["reward", "advantage"])
def test_shares_of_the_squared_advantage(make_trainer, monkeypatch, credit):
    trainer, advantages, _ = roll_out(make_trainer, monkeypatch, perception_credit=credit, perception_weight=0.3)
    metrics = {name: values[-1] for name, values in trainer._metrics["train"].items()}
    squares = (advantages**2).reshape(2, 4).sum(axis=1)
    assert metrics["advantage/all_right_share"] == pytest.approx(squares[1] / squares.sum(), rel=1e-5)
    assert metrics["advantage/mixed_share"] == pytest.approx(squares[0] / squares.sum(), rel=1e-5)
    assert metrics["advantage/all_wrong_share"] == 0
    gained = ((advantages - group_advantages(GRADES, 4)) ** 2).sum()
    assert metrics["advantage/perception_share"] == pytest.approx(gained / squares.sum(), rel=1e-4)
    assert 0.3 < metrics["advantage/perception_share"] < 0.99 if credit == "reward" else True


def test_grpo_measured_as_vapo_is_gets_nothing_from_perception(make_trainer, monkeypatch):
    trainer, _, _ = roll_out(make_trainer, monkeypatch, perception_weight=0.0)
    assert trainer._metrics["train"]["advantage/perception_share"] == [0.0]
    assert trainer._metrics["train"]["advantage/mixed_share"] == [1.0]


def test_what_no_function_scores_takes_no_part(make_trainer, monkeypatch):
    options = {"perception_credit": "advantage", "perception_weight": 1.0, "accuracy_gate": "none"}
    graded = {"reward_funcs": lambda completions, **_: [None, 1.0, 1.0, 1.0] * 2}
    _, advantages, rewards = roll_out(make_trainer, monkeypatch, **options, **graded)
    assert rewards[0].perception is not None and advantages[[0, 4]].tolist() == [0, 0] and advantages.any()
    for start in (0, 4):
        probed = [place for place in range(start + 1, start + 4) if rewards[place].perception is not None]
        expected = standardise([rewards[place].perception for place in probed]) if len(probed) > 1 else [0.0]
        np.testing.assert_allclose(advantages[probed], expected, atol=1e-5)


def test_rewards_that_tell_no_accuracy_have_no_shares(make_trainer, monkeypatch):
    trainer, advantages, _ = roll_out(
        make_trainer,
        monkeypatch,
        reward_funcs=lambda completions, **_: [7.0 * grade for grade in GRADES],
        accuracy_gate="none",
    )
    assert not any(name.startswith("advantage/") for name in trainer._metrics["train"]) and advantages.any()


def test_the_course_differs_from_the_papers_and_is_logged(make_trainer):
    trained = {}
    for credit in ("reward", "advantage"):
        trainer = make_trainer(perception_credit=credit, perception_weight=0.5)
        trainer.train()
        assert all(0 <= share <= 1 for share in metrics_of(trainer, "advantage/perception_share"))
        trained[credit] = metrics_of(trainer, "grad_norm")
    assert trained["reward"] != trained["advantage"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, None),
        ({"dynamic_sampling": "reward"}, None),
        ({"dynamic_sampling": "accuracy"}, "dynamic_sampling='accuracy' replaces these groups"),
        ({"scale_rewards": "none"}, "scale_rewards='none' does not divide"),
        ({"scale_rewards": "batch", "dynamic_sampling": "accuracy"}, "these groups, and scale_rewards='batch'"),
        ({"multi_objective_aggregation": "normalize_then_sum"}, "normalises the bonus where answers differ"),
        ({"preset": "paper"}, None),
        ({"preset": "released"}, None),
        ({"dynamic_sampling": "accuracy", "perception_credit": "advantage"}, None),
        ({"dynamic_sampling": "accuracy", "accuracy_gate": "none"}, None),
        ({"dynamic_sampling": "accuracy", "perception_weight": 0.0}, None),
        ({"dynamic_sampling": "accuracy", "algorithm": "grpo"}, None),
    ],
)
def test_settings_that_turn_perception_off_are_warned_of(tmp_path, options, said):
    config = make_config(tmp_path, loss_type="dapo", **options)
    warning = find_idle_bonus(config, config.make_algorithm())
    assert (warning is None) == (said is None)
    assert warning is None or (said in warning and "perception_credit='advantage'" in warning)


def test_the_trainer_warns(make_trainer, caplog):
    with caplog.at_level(logging.WARNING, "vapo.training.trainer"):
        make_trainer(scale_rewards="none")
    assert "hardly differ from GRPO" in caplog.text
