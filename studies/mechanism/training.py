"""Short runs: what late claims come to where perception has its share of the gradient, and where it has none."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vapo.atomic_files import write_atomically
from vapo.lab.demo.recipe import MAX_COMPLETION_TOKENS, TRAINING
from vapo.lab.processes.side_by_side import Report
from vapo.lab.processes.step_report import StepReport
from vapo.training.options import parse_run
from vapo.training.run import train

from .shares import Numbers

ARMS: Mapping[str, Mapping[str, str | int | float]] = {
    "preset: paper": {},
    "dynamic_sampling: accuracy": {"dynamic_sampling": "accuracy"},
    "scale_rewards: none": {"scale_rewards": "none"},
}
"""Options of `vapo train` on top of the lab's."""

STEPS, FEW = 30, 5
FIRST, LAST = f"late claims right, first {FEW} steps", f"late claims right, last {FEW} steps"
SHARE = "perception's share of the squared advantage"


@dataclass(frozen=True, slots=True)
class ShortRun:
    """One arm with one seed; satisfies the `Job` that `run_side_by_side` does.

    Attributes:
        arm: one of `ARMS`.
        seed: of training.
        checkpoint: the policy.
        data: folder with `train.parquet`.
        folder: of this run.
        steps: of training.
    """

    arm: str
    seed: int
    checkpoint: str
    data: str
    folder: str
    steps: int = STEPS

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.arm}, seed {self.seed}"

    @property
    def work(self) -> str:
        """What carries it out in a process of its own."""
        return "studies.mechanism.training:carry_out"

    @property
    def log(self) -> Path:
        """What libraries printed."""
        return Path(self.folder) / "log.txt"

    @property
    def found(self) -> Path:
        """What was logged, step by step; written last."""
        return Path(self.folder) / "steps.json"

    def to_json(self) -> str:
        """Return the job as text."""
        return json.dumps(asdict(self))


def carry_out(text: str, report: Report) -> None:
    """Train; `text` is a job as `ShortRun.to_json` wrote it, `report` is told each step."""
    run = ShortRun(**json.loads(text))
    if not torch.cuda.is_available():
        torch.set_num_threads(1)
    out = Path(run.folder) / "train"
    options: dict[str, Any] = {
        **TRAINING,
        **ARMS[run.arm],
        "model_name_or_path": run.checkpoint,
        "data": run.data,
        "output_dir": out,
        "max_steps": run.steps,
        "max_completion_length": MAX_COMPLETION_TOKENS,
        "seed": run.seed,
        "save_steps": 10,
        "disable_tqdm": True,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    train(parse_run(words, "python -m studies mechanism"), [StepReport(report)], None)
    entries = map(json.loads, (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    write_atomically(run.found, json.dumps([entry for entry in entries if "loss" in entry]) + "\n")


def count_steps(run: ShortRun) -> Numbers:
    """Return what a finished run's steps came to."""
    steps: Sequence[Mapping[str, float]] = json.loads(run.found.read_text(encoding="utf-8"))
    late = [step["perception/accuracy_quarter_4"] for step in steps]
    shares = [step["advantage/perception_share"] for step in steps if "advantage/perception_share" in step]
    return {FIRST: float(np.mean(late[:FEW])), LAST: float(np.mean(late[-FEW:])), SHARE: float(np.mean(shares))}
