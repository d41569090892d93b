"""Inner products of single responses' gradients are those of the trainer's own loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from training.training_world import make_config, make_rows

from studies.mechanism.gradients import multiply_gradients
from vapo import VAPOTrainer
from vapo.lab.shipped import shipped_checkpoint
from vapo.models.policy.checkpoint import Policy
from vapo.types import Rollout, Sample


@pytest.fixture
def trainer(tmp_path):
    def reward(completions, **_):
        return [1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0]

    config = make_config(
        tmp_path,
        per_device_train_batch_size=8,
        gradient_accumulation_steps=1,
        generation_kwargs=None,
        loss_type="grpo",
        freeze_vision=True,
        num_anchors=0,
    )
    trainer = VAPOTrainer(str(shipped_checkpoint()), reward_funcs=reward, args=config, train_dataset=make_rows())
    trainer.current_gradient_accumulation_steps = 1
    return trainer


def test_a_step_of_the_trainer_has_the_gradient_that_they_say(trainer):
    """The KL penalty, with its weight of 0.02, has no gradient where the policy is the reference."""
    rows = make_rows()
    rows = [rows[0]] * 4 + [rows[1]] * 4
    output = trainer._generate_and_score_completions(rows)
    trainer.model.train()
    trainer.compute_loss(trainer.model, output).backward()
    squared = sum(float((p.grad**2).sum()) for p in trainer.model.parameters() if p.grad is not None)

    def unpadded(side, number):
        ids, mask = output[f"{side}_ids"][number], output[f"{side}_mask"][number].bool()
        return tuple(ids[mask].tolist())

    rollouts = [
        Rollout(
            Sample(str(number), tuple(row["images"]), "?", "1"),
            unpadded("prompt", number),
            unpadded("completion", number),
            ("",) * len(unpadded("completion", number)),
        )
        for number, row in enumerate(rows)
    ]
    products = multiply_gradients(Policy(trainer.model, trainer.processing_class), rollouts)
    advantages = output["advantages"].numpy().astype(float) / len(rows)
    assert advantages.any() and products.shape == (8, 8)
    assert advantages @ products @ advantages == pytest.approx(squared, rel=1e-3)
    np.testing.assert_allclose(products, products.T)
    assert not any(p.requires_grad for p in trainer.model.model.vision_tower.parameters())
    assert torch.is_grad_enabled()
