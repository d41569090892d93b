"""A run that ends when a metric says so: `stop_if="perception/accuracy_quarter_4 < 0.55"`."""

from __future__ import annotations

import logging
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState

from vapo.errors import ConfigError, suggest_nearest

RELATIONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_FORM = re.compile(rf"\s*([^\s<>=]+)\s*({'|'.join(RELATIONS)})\s*(\S+)\s*")


@dataclass(frozen=True, slots=True)
class StopCondition:
    """A metric, and the values of it that end a run.

    Attributes:
        metric: as it is logged.
        relation: of its value to the bound, among `RELATIONS`.
        bound: a finite number.
    """

    metric: str
    relation: str
    bound: float

    @classmethod
    def parse(cls, text: str) -> StopCondition:
        """Return what a text such as "reward < 0.1" says.

        Raises:
            ConfigError: it has another form.
        """
        found = _FORM.fullmatch(text)
        try:
            bound = float(found[3]) if found else math.nan
        except ValueError:
            bound = math.nan
        if found is None or not math.isfinite(bound):
            raise ConfigError(
                f"stop_if is {text!r}; write METRIC {'|'.join(RELATIONS)} NUMBER, as in "
                "'perception/accuracy_quarter_4 < 0.55'"
            )
        return cls(found[1], found[2], bound)

    def is_met(self, value: float) -> bool:
        """Return whether a value ends the run; one that is not a number never does."""
        return RELATIONS[self.relation](value, self.bound)

    def __str__(self) -> str:
        return f"{self.metric} {self.relation} {self.bound:g}"


class StopCallback(TrainerCallback, ExportableState):
    """End a run, with a checkpoint, at the end of the step after the one whose log meets a condition.

    Where a rollout serves several updates, `VAPOTrainer` puts the end off until it is used up. The main process
    decides for all.

    Args:
        condition: see `StopCondition.parse`.

    Raises:
        ConfigError: the condition has another form.

    Attributes:
        stopped: why the run was ended, in a sentence; None while it was not.
    """

    def __init__(self, condition: str) -> None:
        self.condition = StopCondition.parse(condition)
        self.stopped: str | None = None
        self._reason: str | None = None
        self._was_logged = self._was_missed = False

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint's `trainer_state.json` keeps of this callback."""
        return {"args": {"condition": str(self.condition)}, "attributes": {"stopped": self.stopped}}

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Look at the log of the step that a run goes on from."""
        self.stopped = self._reason = None
        for entry in state.log_history:
            if entry.get("step") == state.global_step > 0:
                self._look(entry, state)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Look whether a logged entry meets the condition."""
        if logs and state.is_world_process_zero:
            self._look(logs, state)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """End the run, where the main process found reason to; callbacks at the step's end may put that off."""
        agreed = [self._reason]
        if torch.distributed.is_initialized():
            torch.distributed.broadcast_object_list(agreed, src=0)
        if agreed[0] is not None:
            if self.stopped is None and state.is_world_process_zero:
                logging.getLogger(__name__).warning("the run ends: %s", agreed[0])
            self.stopped = agreed[0]
            control.should_training_stop = True
            control.should_save = control.should_save or args.save_strategy != "no"

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Say that the metric was never there."""
        if state.is_world_process_zero and not self._was_logged:
            logging.getLogger(__name__).warning(
                "%s was never logged, so stop_if could not end the run", self.condition.metric
            )

    def _look(self, logs: Mapping[str, Any], state: Any) -> None:
        name, value = self.condition.metric, logs.get(self.condition.metric)
        if isinstance(value, int | float):
            self._was_logged = True
            if self._reason is None and self.condition.is_met(value):
                self._reason = f"{name} was {value:.4g} at step {state.global_step}, and stop_if is {self.condition}"
        elif "reward" in logs and not (self._was_missed or self._was_logged or name.startswith("eval_")):
            self._was_missed = True
            logging.getLogger(__name__).warning(
                "stop_if waits for %s, which the first log of a step does not hold%s; it holds %s",
                name,
                suggest_nearest(name, logs),
                ", ".join(sorted(logs)),
            )
