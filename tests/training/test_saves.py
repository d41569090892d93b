from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_models import save_tiny
from training.training_world import even_letters, make_config, make_rows
from transformers import TrainerCallback

from vapo import VAPOTrainer
from vapo.errors import ConfigError

STEPS = {"save_strategy": "steps", "num_iterations": 2}  # a rollout is used up every second step


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    return str(save_tiny("llava", tmp_path_factory.mktemp("llava")))


@pytest.fixture
def train(checkpoint, tmp_path):
    def run(folder: Path = tmp_path, resume: Path | None = None, callbacks=(), **options) -> VAPOTrainer:
        trainer = VAPOTrainer(
            checkpoint,
            even_letters,
            make_config(folder, **{"algorithm": "grpo", "max_completion_length": 4, **options}),
            make_rows(),
            make_rows(2) if "eval_strategy" in options else None,
            callbacks=list(callbacks),
        )
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        return trainer

    return run


def saved_steps(folder: Path) -> list[int]:
    return sorted(int(path.name.removeprefix("checkpoint-")) for path in folder.glob("checkpoint-*"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"save_strategy": "steps", "num_iterations": 3, "max_steps": 2}, [2]),  # TRL's save_steps is 500
        ({**STEPS, "save_steps": 3, "max_steps": 7}, [4, 6, 7]),
        ({**STEPS, "save_steps": 1, "max_steps": 5}, [2, 4, 5]),
        ({**STEPS, "save_steps": 0.5, "max_steps": 6}, [4, 6]),
        ({**STEPS, "save_steps": 3, "max_steps": 7, "save_only_model": True}, [3, 6, 7]),
        ({**STEPS, "save_strategy": "epoch", "max_steps": -1, "num_train_epochs": 2}, [6, 12]),
        ({**STEPS, "save_strategy": "no", "max_steps": 3}, []),
        # three micro-steps to a rollout, four to a step, and what is left of an epoch is a step of two
        ({**STEPS, "num_iterations": 1, "generation_batch_size": 12, "gradient_accumulation_steps": 4, "save_steps": 1,
          "max_steps": 4}, [2, 4]),
    ],
)  # fmt: skip
def test_a_checkpoint_lies_between_two_rollouts_or_at_the_end(train, tmp_path, options, expected):
    train(**options)
    assert saved_steps(tmp_path) == expected


def test_a_run_goes_on_exactly_from_a_checkpoint_that_was_put_off(train, tmp_path):
    options = {**STEPS, "save_steps": 3, "max_steps": 6, "algorithm": "vapo"}
    whole = train(tmp_path / "whole", **options)
    resumed = train(tmp_path / "resumed", tmp_path / "whole" / "checkpoint-4", **options)
    others = dict(resumed.model.named_parameters())
    assert all(torch.equal(parameter, others[name]) for name, parameter in whole.model.named_parameters())


@pytest.mark.parametrize("chosen", [{"save_strategy": "best"}, {"load_best_model_at_end": True, "save_steps": 1}])
def test_what_is_kept_is_what_was_evaluated(train, tmp_path, chosen):
    options = {**STEPS, **chosen, "eval_strategy": "steps", "eval_steps": 1, "per_device_eval_batch_size": 4}
    trainer = train(**options, max_steps=4, metric_for_best_model="reward", greater_is_better=True)
    evaluated = [entry["step"] for entry in trainer.state.log_history if "eval_reward" in entry]
    assert evaluated == [2, 4] and set(saved_steps(tmp_path)) <= {2, 4}
    assert trainer.state.best_model_checkpoint == str(tmp_path / f"checkpoint-{trainer.state.best_global_step}")


def test_a_run_that_is_stopped_keeps_the_checkpoint_that_was_due(train, tmp_path):
    class Stop(TrainerCallback):
        def on_log(self, args, state, control, **_):
            control.should_training_stop = state.global_step == 3
            return control

    train(**STEPS, save_steps=3, max_steps=7, callbacks=[Stop()])
    assert saved_steps(tmp_path) == [3]


def test_a_metric_that_is_not_measured_is_named(train):
    options = {**STEPS, "eval_strategy": "steps", "eval_steps": 2, "per_device_eval_batch_size": 4, "max_steps": 2}
    with pytest.raises(ConfigError, match=r"'rewards', which evaluation does not measure; .*'reward'.* one of .*loss"):
        train(**options, metric_for_best_model="rewards", greater_is_better=True)
