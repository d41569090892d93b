"""Where a rollout stands in its run."""

from __future__ import annotations

import pytest
from tiny_models import save_tiny
from training.training_world import even_letters, make_config, make_rows

from vapo import VAPOTrainer

# two micro-steps to a rollout, four to a step, and what is left of an epoch of three rollouts is a step of two
PARTIAL = {
    "algorithm": "grpo",
    "max_completion_length": 4,
    "gradient_accumulation_steps": 4,
    "steps_per_generation": 2,
    "max_steps": -1,
    "num_train_epochs": 3,
    "save_strategy": "epoch",
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    return str(save_tiny("llava", tmp_path_factory.mktemp("llava")))


def test_rollouts_are_counted_through_partial_steps_and_when_a_run_goes_on(checkpoint, tmp_path):
    def train(folder, resume=None) -> list[int]:
        trainer = VAPOTrainer(checkpoint, even_letters, make_config(folder, **PARTIAL), make_rows(6))
        begin, numbers = trainer._begin_batch, []

        def note(rows):
            batch = begin(rows)
            numbers.append(batch.place.number)
            return batch

        trainer._begin_batch = note
        trainer.train(resume_from_checkpoint=resume)
        return numbers

    assert train(tmp_path / "whole") == list(range(9))
    assert train(tmp_path / "resumed", str(tmp_path / "whole" / "checkpoint-2")) == list(range(3, 9))
