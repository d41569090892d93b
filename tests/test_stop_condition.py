"""Runs that end when a logged metric meets a condition."""

from __future__ import annotations

import json
import logging
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diagnosis.test_training_callback import SMALL
from prober_contract import make_sample
from tiny_models import save_tiny
from training.processes import run_processes
from training.training_world import even_letters, make_config, make_rows
from transformers import TrainerCallback

from vapo import DiagnosisCallback, VAPOTrainer
from vapo.cli import main
from vapo.errors import ConfigError
from vapo.lab.shipped import shipped_checkpoint, shipped_data
from vapo.stop_condition import StopCallback, StopCondition
from vapo.training.options import parse_run
from vapo.training.run import train as run


@pytest.mark.parametrize(
    ("text", "met", "not_met"),
    [
        ("perception/accuracy_quarter_4 < 0.55", [0.5, -math.inf], [0.55, 0.6, math.nan]),
        ("kl>1e-1", [0.2, math.inf], [0.1, 0.0, math.nan]),
        ("  reward<=-1 ", [-1, -2], [0]),
        ("eval_reward >= .5", [0.5, 1], [0.4]),
    ],
)
def test_what_meets_a_condition(text, met, not_met):
    condition = StopCondition.parse(text)
    assert all(condition.is_met(value) for value in met)
    assert not any(condition.is_met(value) for value in not_met)
    assert StopCondition.parse(str(condition)) == condition


@pytest.mark.parametrize(
    "text", ["", "reward", "reward <", "< 1", "reward = 1", "reward == 1", "reward < low", "reward < nan", "a < 1 < 2"]
)
def test_what_is_no_condition_is_refused(text, tmp_path):
    with pytest.raises(ConfigError, match=r"write METRIC <=\|>=\|<\|> NUMBER"):
        make_config(tmp_path, stop_if=text)


class Tell(TrainerCallback):
    """Log a metric, step by step."""

    def __init__(self, values: list[float]) -> None:
        self._values = values

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if "reward" in logs:
            logs["told"] = self._values[state.global_step - 1]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    return str(save_tiny("llava", tmp_path_factory.mktemp("model")))


@pytest.fixture
def make_trainer(checkpoint, tmp_path):
    def make(values=(), **options) -> VAPOTrainer:
        config = make_config(
            tmp_path / "run", **{"max_steps": len(values) or 4, "save_strategy": "steps", "save_steps": 100, **options}
        )
        trainer = VAPOTrainer(checkpoint, even_letters, config, make_rows(), make_rows(1))
        if values:  # ahead of those that look at what is logged
            trainer.callback_handler.callbacks.insert(0, Tell(list(values)))
        return trainer

    return make


def list_checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("checkpoint-*"))


def test_the_step_after_is_the_last_and_is_saved(make_trainer, tmp_path, caplog):
    trainer = make_trainer([1, 1, 0.4, 1, 1, 1], stop_if="told < 0.5")
    trainer.train()
    assert trainer.state.global_step == 4 and list_checkpoints(tmp_path / "run") == ["checkpoint-4"]
    assert trainer.stopped == "told was 0.4 at step 3, and stop_if is told < 0.5"
    assert caplog.messages.count(f"the run ends: {trainer.stopped}") == 1


def test_a_rollout_is_used_up_before(make_trainer, tmp_path):
    values = [0, *[1] * 8]
    trainer = make_trainer(values, stop_if="told < 0.5", num_iterations=4, gradient_accumulation_steps=1)
    trainer.train()
    assert trainer.state.global_step == 4 and list_checkpoints(tmp_path / "run") == ["checkpoint-4"]


def test_nothing_is_saved_where_nothing_is_to_be(make_trainer, tmp_path):
    trainer = make_trainer([0, 1, 1], stop_if="told < 0.5", save_strategy="no")
    trainer.train()
    assert trainer.state.global_step == 2 and not list_checkpoints(tmp_path / "run")


def test_what_is_not_a_number_never_ends_a_run(make_trainer):
    trainer = make_trainer([math.nan] * 3, stop_if="told < 0.5")
    trainer.train()
    assert trainer.state.global_step == 3 and trainer.stopped is None


def test_a_metric_that_is_never_logged_is_named_with_those_that_are(make_trainer, caplog):
    make_trainer([1, 1], stop_if="rewrd < 0.5").train()
    missed, never = (message for message in caplog.messages if "stop_if" in message)
    assert "waits for rewrd" in missed and "the nearest is 'reward'" in missed and "step_time" in missed
    assert never == "rewrd was never logged, so stop_if could not end the run"
    assert [record.levelno for record in caplog.records if "stop_if" in record.message] == [logging.WARNING] * 2


def test_a_metric_of_evaluations_is_waited_for(make_trainer, caplog):
    trainer = make_trainer(stop_if="eval_reward >= 0", eval_strategy="steps", eval_steps=2)
    trainer.train()
    assert trainer.state.global_step == 3 and trainer.stopped is not None
    assert not any("waits for" in message for message in caplog.messages)


def test_a_diagnosis_ends_a_run(make_trainer):
    trainer = make_trainer()
    callback = DiagnosisCallback(
        trainer, [make_sample("a")], settings=SMALL, every_steps=2, stop_if="diagnosis/num_tokens > 0"
    )
    trainer.add_callback(callback)
    trainer.train()
    assert trainer.state.global_step == 1 and trainer.stopped.startswith("diagnosis/num_tokens was")


def make_options(folder: Path, checkpoint: str, **more: Any) -> dict[str, Any]:
    return {
        "model_name_or_path": checkpoint,
        "data": "lab",
        "limit": 8,
        "output_dir": str(folder),
        "use_cpu": "true",
        "bf16": "false",
        "num_generations": 4,
        "per_device_train_batch_size": 4,
        "max_completion_length": 12,
        "max_steps": 4,
        "save_steps": 1,
        "logging_steps": 1,
        "stop_if": "completions/max_length >= 0",
        **more,
    }


def words(options: dict[str, Any]) -> list[str]:
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]


def test_its_folder_tells_of_it(tmp_path, capsys):
    given = words(make_options(tmp_path / "run", "lab"))
    said = "the run was ended: completions/max_length was 12 at step 1, and stop_if is completions/max_length >= 0"
    for steps in ("2 steps done (2 of them now)", "2 steps done (0 of them now)"):
        assert main(["train", *given]) == 0
        out = capsys.readouterr().out
        assert said in out and steps in out
    # Ended, and killed before the policy was saved:
    (tmp_path / "run" / "finished").unlink()
    assert main(["train", *given]) == 0
    out = capsys.readouterr().out
    assert said in out and "2 steps done (0 of them now)" in out


def test_a_run_that_goes_on_from_the_step_that_met_it_ends_where_it_would_have(tmp_path, capsys):
    given = words(make_options(tmp_path / "run", "lab"))
    assert main(["train", *given]) == 0
    shutil.rmtree(tmp_path / "run" / "checkpoint-2")
    (tmp_path / "run" / "finished").unlink()
    assert main(["train", *given]) == 0
    assert "2 steps done (1 of them now)" in capsys.readouterr().out


class ToldToOne(TrainerCallback):
    """Log a metric on the main process alone."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if state.is_world_process_zero and "reward" in logs:
            logs["told"] = state.global_step


def work(folder: Path) -> None:
    given = make_options(folder, shipped_checkpoint(), data=shipped_data("train"), stop_if="told >= 2")
    finished = run(parse_run(words(given)), callbacks=[ToldToOne()])
    rank = torch.distributed.get_rank()
    (folder / f"rank-{rank}.json").write_text(json.dumps([finished.steps, finished.stopped]))


def test_all_processes_end_at_the_same_step(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    run_processes(2, work, folder)
    said = [3, "told was 2 at step 2, and stop_if is told >= 2"]
    assert [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(2)] == [said] * 2


def test_a_callback_of_its_own_serves_any_trainer():
    assert StopCallback("loss > 10").state()["args"] == {"condition": "loss > 10"}
