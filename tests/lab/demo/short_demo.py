"""The demo in its shortest form, as a program: `python short_demo.py OUT`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from vapo.lab.demo.outcome import Outcome
from vapo.lab.demo.recipe import RECIPE
from vapo.lab.demo.run import run_demo

SHORT = replace(
    RECIPE,
    steps=7,  # the first checkpoint is written after 5
    questions=8,
    training={
        **RECIPE.training,
        "per_device_train_batch_size": 8,
        "num_generations": 4,
        "learning_rate": 1e-3,  # so that so few steps are felt
    },
    own={"GRPO": {"perception_weight": 0.0}, "VAPO": {"perception_weight": 1.0, "accuracy_gate": "none"}},
    num_depths=4,
    claims_per_depth=2,
    batch_size=2,
)


def keep_quiet(stage: str) -> Callable[[int, int], None]:
    return lambda done, total: None


def run_short_demo(
    out: Path, *, on_progress: Callable[[str], Callable[[int, int], None]] = keep_quiet, **more: int
) -> Outcome:
    numbers = {"steps": SHORT.steps, "questions": SHORT.questions, "seed": 0, **more}
    return run_demo(out, recipe=SHORT, on_progress=on_progress, **numbers)


if __name__ == "__main__":
    run_short_demo(Path(sys.argv[1]))
