"""How far a training run is, told to whoever waits for it."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from vapo.lab.processes.side_by_side import Report


class StepReport(TrainerCallback):
    """Report each step of training."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._report("training", state.global_step, state.max_steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._report("training", state.global_step, state.max_steps)
