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


class TestDynamicSampling:
    def test_uninformative_groups_are_refilled(self, make_trainer, monkeypatch):
        monkeypatch.setattr(dynamic_sampling, "MAX_REFILLS", 8)
        calls = count()

        def all_alike_at_first(completions, completion_ids, **options):
            scores = even_letters(completions, completion_ids, **options)
            return scores if next(calls) else [1.0] * len(scores)

        trainer = make_trainer(dynamic_sampling=True, max_steps=4, reward_funcs=all_alike_at_first)
        trainer.train()
        assert metrics_of(trainer, "dynamic_sampling/dropped_groups")[0] > 0
        assert set(metrics_of(trainer, "dynamic_sampling/unfilled_share")) == {0.0}
        assert all(0 < mean < 1 for mean in metrics_of(trainer, "rewards/all_alike_at_first/mean"))

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
        trainer, inputs = loss_of([rows[0]] * 4 + [rows[1]] * 4, per_device_train_batch_size=8, dynamic_sampling=True)
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
            make_config(tmp_path, dynamic_sampling=True, loss_type="bnpo")
