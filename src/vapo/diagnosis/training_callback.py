"""A small diagnosis every n steps of training, logged beside the trainer's own numbers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from vapo.core.boundaries import THINK_TAGS
from vapo.diagnosis.diagnose import diagnose, write_report
from vapo.diagnosis.findings import Diagnosis, ModelFindings
from vapo.diagnosis.protocols import choose_protocols
from vapo.diagnosis.settings import DiagnosisSettings
from vapo.diagnosis.transformers.transformers_model import TransformersModel
from vapo.errors import ConfigError
from vapo.models.policy.checkpoint import Policy
from vapo.models.think_tags import TOKENIZER, read_think_tags
from vapo.stop_condition import StopCallback
from vapo.types import Sample


class DiagnosisCallback(TrainerCallback):
    """Diagnose the policy while it is trained: `trainer.add_callback(DiagnosisCallback(trainer, samples))`.

    The main process diagnoses its copy of the model; the others wait. Training itself is not changed: no random
    state is read, and the model's mode is restored.

    Args:
        trainer: any trainer of transformers or TRL whose model sees; its model and processor are used.
        samples: questions that are not trained on; some dozens are enough to see a trend.
        every_steps: optimiser steps from one diagnosis to the next; one more is made before the first step.
        protocols: names; few and cheap ones by default. What they cost is logged as `diagnosis/seconds`; questions,
            cuts and lengths (`settings`) make it less.
        settings: of the protocols; without other think tags, those of the run are used.
        out: a folder for a report per diagnosis, `step-N/`; None writes none.
        batch_size: questions diagnosed together.
        system_prompt: text of a system message, as in training.
        stop_if: ends the run when a number that is logged meets it, of the diagnosis ("diagnosis/accuracy < 0.2") or
            of training ("perception/accuracy_quarter_4 < 0.55"); see `vapo.StopCallback`.

    Attributes:
        diagnoses: by step, what was found.

    Raises:
        ConfigError: an option is out of its range, or the parameters are spread over processes (FSDP, ZeRO stage 3).
    """

    def __init__(
        self,
        trainer: Any,
        samples: Sequence[Sample],
        *,
        every_steps: int = 50,
        protocols: Sequence[str] = ("early", "perception"),
        settings: DiagnosisSettings = DiagnosisSettings(step=25, num_depths=4, views=("image", "blank")),
        out: str | Path | None = None,
        batch_size: int = 8,
        system_prompt: str | None = None,
        stop_if: str | None = None,
    ) -> None:
        if every_steps < 1:
            raise ConfigError(f"every_steps is {every_steps}; it must be at least 1")
        if len(samples) == 0:
            raise ConfigError("there are no questions to diagnose with; give at least one")
        plugin = getattr(trainer.accelerator.state, "deepspeed_plugin", None)  # only there where DeepSpeed runs
        if trainer.is_fsdp_enabled or (plugin is not None and plugin.zero_stage == 3):
            raise ConfigError(
                "DiagnosisCallback needs the whole model in one process; diagnose the run's checkpoints instead: "
                "vapo diagnose CHECKPOINT ..."
            )
        if stop_if is not None:
            trainer.add_callback(StopCallback(stop_if))
        self.diagnoses: dict[int, Diagnosis] = {}
        self._trainer = trainer
        self._samples = samples
        self._every = every_steps
        self._protocols = choose_protocols(protocols)
        if settings.think_tags == THINK_TAGS:
            tags = read_think_tags(getattr(trainer.args, "think_tags", TOKENIZER))
            settings = replace(settings, think_tags=tags, closing=settings.closing.replace(THINK_TAGS[1], tags[1]))
        self._settings = settings
        self._out = Path(out) if out is not None else None
        self._batch_size = batch_size
        self._system_prompt = system_prompt

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Diagnose what training starts from."""
        if state.global_step == 0:
            self._diagnose(state, control)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Diagnose every n steps."""
        if state.global_step % self._every == 0:
            self._diagnose(state, control)

    def _diagnose(self, state: Any, control: Any) -> None:
        trainer = self._trainer
        step = int(state.global_step)
        numbers: dict[str, float] = {}
        started = time.perf_counter()
        if state.is_world_process_zero:
            policy = Policy(
                trainer.accelerator.unwrap_model(trainer.model),
                trainer.processing_class,
                name=f"step {step}",
                think_tags=self._settings.think_tags,
            )
            diagnosis = diagnose(
                [TransformersModel(policy, system_prompt=self._system_prompt, batch_size=self._batch_size)],
                self._samples,
                protocols=self._protocols,
                settings=self._settings,
                batch_size=self._batch_size,
            )
            self.diagnoses[step] = diagnosis
            numbers = {
                **list_metrics(diagnosis.models[0]),
                "diagnosis/seconds": time.perf_counter() - started,
            }
            if self._out is not None:
                folder = self._out / f"step-{step}"
                folder.mkdir(parents=True, exist_ok=True)
                write_report(diagnosis, self._samples, folder)
        trainer.accelerator.wait_for_everyone()
        # TRL's `log` adds and clears what the step has gathered so far under the model's mode; in evaluation mode
        # that is nothing, and the step's own numbers stay for the step's own entry.
        was_training, was_to_log = trainer.model.training, control.should_log
        trainer.model.eval()
        try:
            trainer.log(numbers)
        finally:
            trainer.model.train(was_training)
            control.should_log = was_to_log  # logging anything takes back that the step's own numbers are due


def list_metrics(model: ModelFindings) -> dict[str, float]:
    """Return the numbers of a diagnosis that are logged, by name; those that were not measured are missing."""
    found = {"accuracy": model.accuracy.value, "num_tokens": model.num_tokens.value}
    if model.early:
        found["direct_accuracy"] = model.early[0].estimate.value
    if model.recovery is not None:
        found["errors_right_halfway"] = model.recovery.avoided.value
        if model.recovery.lost is not None:
            found["right_answers_wrong_halfway"] = model.recovery.lost.value
    for view, points in (model.perception or {}).items():
        found[f"claims_before_{view}"] = points[0].estimate.value
        found[f"claims_at_end_{view}"] = points[-1].estimate.value
    for view, points in (model.yes_rate or {}).items():
        found[f"yes_rate_at_end_{view}"] = points[-1].estimate.value
    for name, by_view in (("true", model.accuracy_true), ("false", model.accuracy_false)):
        for view, points in (by_view or {}).items():
            found[f"{name}_claims_at_end_{view}"] = points[-1].estimate.value
    if model.attention_by_depth:
        found["attention_first"] = model.attention_by_depth[0].estimate.value
        found["attention_last"] = model.attention_by_depth[-1].estimate.value
    if model.dependent_share is not None:
        found["dependent_share"] = model.dependent_share.value
    for name, number in model.numbers.items():
        if isinstance(number, tuple):
            found |= {f"{name}_first": number[0].estimate.value, f"{name}_last": number[-1].estimate.value}
        else:
            found[name] = number.value
    return {f"diagnosis/{name}": value for name, value in found.items()}
