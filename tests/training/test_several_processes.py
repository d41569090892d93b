"""Two processes with DDP or FSDP2 take the course of one, and a run goes on with another number of them.

Sampling is the one thing that a number of processes changes, because each draws from a generator of its own. Here
every token is drawn with noise that follows from its place in the run, so that what is left must be equal. Adam
divides a gradient by its own size, so where one is 0 but for rounding it makes full steps of rounding; `adam_epsilon`
is large here, which makes of it SGD with momentum.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
import torch
from training.processes import FSDP2, let_accelerate_shard_on_cpu, run_processes
from transformers import GenerationMixin, LogitsProcessor

from vapo.cli.train import train as train_command
from vapo.lab.shipped import shipped_checkpoint, shipped_data
from vapo.models.policy.checkpoint import load_policy

OPTIONS: dict[str, Any] = {
    "model_name_or_path": shipped_checkpoint(),
    "data": shipped_data("train"),
    "limit": 16,
    "use_cpu": "true",
    "bf16": "false",
    "adam_epsilon": 0.01,
    "learning_rate": 1e-3,
    "lr_scheduler_type": "constant",
    "beta": 0.02,
    "num_generations": 4,
    "per_device_train_batch_size": 4,
    "update_batch_size": 16,
    "num_iterations": 2,  # the second update of a rollout has ratios other than 1
    "max_completion_length": 20,
    "num_anchors": 4,
    "verdict": "soft",
    "accuracy_gate": "none",
    "perception_weight": 1.0,
    "max_steps": 4,
    "save_steps": 2,
    "logging_steps": 1,
}
WATCHED = ("loss", "grad_norm", "kl", "entropy", "reward", "perception/accuracy", "perception/reward")
WATCHED += ("advantage/all_wrong_share", "advantage/perception_share")


class NoiseOfPlace(LogitsProcessor):
    """Chooses each token with noise that depends on its prompt, its row among all processes' and its position."""

    def __init__(self, first_row: int, prompts: torch.Tensor, mask: torch.Tensor) -> None:
        self._rows = [
            [first_row + n, *ids[own.bool()].tolist()] for n, (ids, own) in enumerate(zip(prompts, mask, strict=True))
        ]
        self._prompt_length = prompts.shape[1]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        chosen = torch.full_like(scores, -torch.inf)
        for number, row in enumerate(self._rows):
            place = [*row, input_ids.shape[1] - self._prompt_length]
            noise = torch.rand(scores.shape[1], generator=torch.Generator().manual_seed(crc32(str(place).encode())))
            chosen[number, (scores[number] - (-noise.log()).log()).argmax()] = 0.0
        return chosen


def train(out: Path) -> None:
    """What each process does."""
    let_accelerate_shard_on_cpu()
    torch.set_num_threads(1)
    generate = GenerationMixin.generate

    def generate_by_place(self: Any, **inputs: Any) -> Any:
        if "logits_processor" in inputs:  # a plain pass, whose tokens are given
            return generate(self, **inputs)
        prompts = inputs["input_ids"]
        noise = NoiseOfPlace(int(os.environ["RANK"]) * len(prompts), prompts, inputs["attention_mask"])
        return generate(self, **inputs, logits_processor=[noise])

    GenerationMixin.generate = generate_by_place
    options = {**OPTIONS, "output_dir": out}
    train_command([word for name, value in options.items() for word in (f"--{name}", str(value))])


def train_in_two_parts(out: Path) -> None:
    """Perception is normalised in a group that lies on two processes."""
    OPTIONS.update({"perception_credit": "advantage", "num_generations": 16})
    train(out)


def train_methods(out: Path, algorithm: str) -> None:
    """Second views, weights of tokens and of responses, and losses of tokens."""
    OPTIONS.update({"algorithm": algorithm, "num_generations": 16})
    train(out)


def read_course(out: Path) -> list[dict[str, float]]:
    entries = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{name: entry[name] for name in WATCHED if name in entry} for entry in entries if "loss" in entry]


def assert_same_course(out: Path, other: Path) -> None:
    ours, theirs = read_course(out), read_course(other)
    assert len(ours) == len(theirs) == 4
    for step, (own, its) in enumerate(zip(ours, theirs, strict=True)):
        assert own == pytest.approx(its, abs=1e-5), f"step {step + 1}"
    weights, others = (load_policy(folder).model.state_dict() for folder in (out, other))
    assert weights.keys() == others.keys()
    for name, weight in weights.items():
        torch.testing.assert_close(weight, others[name], atol=1e-5, rtol=0, msg=name)


def stop_after_two_steps(run: Path, folder: Path) -> Path:
    """Return a copy of a run as if it had been stopped behind its second step."""
    out = Path(shutil.copytree(run, folder / "stopped"))
    shutil.rmtree(out / "checkpoint-4")
    (out / "finished").unlink()
    return out


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    run_processes(1, train, folder / "one")
    run_processes(2, train, folder / "ddp")
    run_processes(2, train, folder / "fsdp2", environment=FSDP2)
    return {name: folder / name for name in ("one", "ddp", "fsdp2")}


@pytest.mark.parametrize("kind", ["ddp", "fsdp2"])
def test_two_processes_take_the_course_of_one(runs, kind):
    assert_same_course(runs[kind], runs["one"])
    first, _, third, last = read_course(runs["one"])
    assert abs(last["loss"]) > 5e-5 < last["kl"]  # a course that stands still would be the same for all
    assert abs(third["reward"] - first["reward"]) > 1e-3


@pytest.mark.parametrize(("kind", "count"), [("ddp", 1), ("one", 2)])
def test_a_run_goes_on_with_another_number_of_processes(runs, kind, count, tmp_path):
    out = stop_after_two_steps(runs[kind], tmp_path)
    run_processes(count, train, out)
    assert_same_course(out, runs["one"])


def test_a_sharded_run_goes_on_with_another_number_of_processes(runs, tmp_path):
    out = stop_after_two_steps(runs["fsdp2"], tmp_path)
    with pytest.raises(AssertionError, match="checkpoint-2 was written with FSDP and would be read without"):
        run_processes(1, train, out)
    run_processes(1, train, out, environment=FSDP2)
    assert_same_course(out, runs["one"])


def test_two_processes_add_the_same_advantages_as_one(tmp_path):
    run_processes(1, train_in_two_parts, tmp_path / "one")
    run_processes(2, train_in_two_parts, tmp_path / "two")
    assert_same_course(tmp_path / "two", tmp_path / "one")
    shares = [step.get("advantage/perception_share") for step in read_course(tmp_path / "one")]
    assert shares[0] == shares[2] == 1.0  # no answer is right, so all of the advantage is perception's


@pytest.mark.parametrize("algorithm", ["papo,vgpo", "vapo_tokens,vppo"])
def test_methods_take_the_course_of_one_process(tmp_path, algorithm):
    for count in (1, 2):
        run_processes(count, train_methods, tmp_path / str(count), algorithm)
    assert_same_course(tmp_path / "2", tmp_path / "1")
    assert max(abs(step["loss"]) for step in read_course(tmp_path / "1")) > 1e-4
