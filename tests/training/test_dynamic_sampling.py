"""Groups that teach nothing are refilled, or left out of the loss."""

from __future__ import annotations

from itertools import count

import pytest
import torch
from training.training_world import (
    even_letters,
    make_config,
    make_rows,
    metrics_of,
)
from trl import GRPOTrainer

from vapo.errors import ConfigError
from vapo.training import dynamic_sampling
from vapo.training.config import DYNAMIC_SAMPLING_LOSSES
from vapo.types import Verdict


class TestDynamicSampling:
    def test_uninformative_groups_are_refilled(self, make_trainer, monkeypatch):
        monkeypatch.setattr(dynamic_sampling, "MAX_REFILLS", 8)
        calls = count()

        def all_alike_at_first(completions, completion_ids, **options):
            scores = even_letters(completions, completion_ids, **options)
            return scores if next(calls) else [1.0] * len(scores)

        trainer = make_trainer(dynamic_sampling="accuracy", max_steps=4, reward_funcs=all_alike_at_first)
        trainer.train()
        assert metrics_of(trainer, "dynamic_sampling/dropped_groups")[0] > 0
        assert set(metrics_of(trainer, "dynamic_sampling/unfilled_share")) == {0.0}
        assert all(0 < mean < 1 for mean in metrics_of(trainer, "rewards/all_alike_at_first/mean"))

    def test_by_reward_groups_of_one_accuracy_stay_where_their_bonuses_differ(self, make_trainer, monkeypatch):
        """The verdicts that decided it are those that are rewarded; nothing is asked or logged twice."""
        monkeypatch.setattr(dynamic_sampling, "MAX_REFILLS", 3)
        calls = []

        def always_right(completions, completion_ids, log_metric, log_extra, **_):
            calls.append(len(completions))
            log_metric("calls", float(len(calls)))
            log_extra("of_call", [len(calls)] * len(completions))
            return [1.0] * len(completions)

        class SeesNothingAtFirst:
            """Gives no claim its label in the first call, and then with what the length of the response says."""

            def __init__(self):
                self.calls = []

            def score(self, probes, keep_in_step_with=None):
                self.calls.append(len(probes))
                sees = len(self.calls) > 1
                return [
                    Verdict(probe, p if probe.claim.is_true else 1 - p)
                    for probe in probes
                    for p in [sees * len(probe.rollout.completion_ids) / 100]
                ]

        trainer = make_trainer(
            dynamic_sampling="reward",
            reward_funcs=always_right,
            verdict="soft",
            per_device_train_batch_size=8,
            gradient_accumulation_steps=1,
            max_steps=1,
            packing="off",
        )
        trainer.prober = prober = SeesNothingAtFirst()
        trainer.train()
        assert metrics_of(trainer, "dynamic_sampling/dropped_groups")[0] >= 2
        assert metrics_of(trainer, "dynamic_sampling/unfilled_share") == [0.0]
        assert len(prober.calls) == len(calls) - 1  # of the kept rows, the rewards are called once more
        assert metrics_of(trainer, "calls") == [len(calls)]
        assert list(trainer._logs["extra"]["of_call"]) == [len(calls)] * 8
        assert metrics_of(trainer, "rewards/perception_bonus/std")[0] > 0
        assert metrics_of(trainer, "advantage/all_right_share") == [1.0]

    @pytest.mark.parametrize("loss_type", DYNAMIC_SAMPLING_LOSSES)
    def test_what_cannot_be_refilled_leaves_the_loss_and_its_denominator(self, make_trainer, monkeypatch, loss_type):
        """A batch of one informative and one dropped group has the loss of the informative group alone."""
        monkeypatch.setattr(dynamic_sampling, "MAX_REFILLS", 1)

        def first_group_varies(completions, completion_ids, id, **_):
            return [float(name == "row-0" and number % 2) for number, name in enumerate(id)]

        def loss_of(rows, **options):
            trainer = make_trainer(
                reward_funcs=first_group_varies,
                loss_type=loss_type,
                gradient_accumulation_steps=1,
                num_anchors=0,
                **options,
            )
            trainer.current_gradient_accumulation_steps = 1
            trainer.model.train()
            torch.manual_seed(3)
            if trainer._informative is not None:
                same_again = {place: rows[-1] for place in range(8)}
                monkeypatch.setattr(trainer._informative, "_draw_rows", lambda groups, number: same_again)
            inputs = trainer._generate_and_score_completions(rows)
            return trainer, inputs

        rows = make_rows()
        trainer, inputs = loss_of(
            [rows[0]] * 4 + [rows[1]] * 4, per_device_train_batch_size=8, dynamic_sampling="accuracy"
        )
        assert trainer._metrics["train"]["dynamic_sampling/unfilled_share"] == [0.5]
        loss = trainer.compute_loss(trainer.model, inputs)
        alone = {
            name: value[:4] if isinstance(value, torch.Tensor) and value.dim() and len(value) == 8 else value
            for name, value in inputs.items()
            if name != "loss_scale"
        }
        alone["num_images"] = alone["num_images"][:4]
        expected = GRPOTrainer._compute_loss(trainer, trainer.model, alone)
        torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)
        assert int(inputs["num_items_in_batch"]) == int(inputs["completion_mask"][:4].sum())

    def test_refuses_a_loss_whose_denominator_would_be_wrong(self, tmp_path):
        with pytest.raises(ConfigError, match="dynamic_sampling cannot be combined with loss_type='bnpo'"):
            make_config(tmp_path, dynamic_sampling="accuracy", loss_type="bnpo")
