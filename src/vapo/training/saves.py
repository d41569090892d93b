"""When checkpoints are written and which is the best, and how a run goes on from one."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, TrainerCallback, TrainerControl
from transformers.trainer_utils import SaveStrategy

from vapo.errors import ConfigError, suggest_nearest
from vapo.run_folder import RunFolder
from vapo.training.draft_card import WritesDraftCard
from vapo.training.sharding import optimizer_without_idle_weights


class SavesBetweenRollouts(TrainerCallback):
    """Put off a checkpoint that is due while a rollout is in use, to the step that uses it up.

    TRL keeps rollouts in memory alone: a run that went on from the middle of their use would roll out anew, and out of
    step with its data. Where an evaluation decides what is kept, it is put off together with the checkpoint. The last
    step of a run is saved as it is, since nothing comes behind it, and so are checkpoints without an optimizer
    (`save_only_model`), from which no run goes on exactly. A run that is to be stopped is put off likewise.

    Args:
        args: a `trl.GRPOConfig`.
    """

    def __init__(self, args: Any) -> None:
        self._generate_every = args.steps_per_generation * args.num_iterations
        self._names = [] if args.save_only_model else ["should_save", "should_training_stop"]
        if args.load_best_model_at_end or args.save_strategy == SaveStrategy.BEST:
            self._names.append("should_evaluate")
        self._put_off: set[str] = set()
        self._micro_steps = 0

    def on_train_begin(self, args: Any, state: Any, control: TrainerControl, **_: Any) -> None:
        self._put_off, self._micro_steps = set(), 0  # a run begins, and goes on, with a new rollout

    def on_substep_end(self, args: Any, state: Any, control: TrainerControl, **_: Any) -> None:
        self._micro_steps += 1

    def on_step_end(self, args: Any, state: Any, control: TrainerControl, **_: Any) -> Any:
        self._micro_steps += 1
        self._put_off.update(name for name in self._names if getattr(control, name))
        is_due = self._micro_steps % self._generate_every == 0 or state.global_step >= state.max_steps
        return self._settle(control, is_due)

    def on_epoch_end(self, args: Any, state: Any, control: TrainerControl, **_: Any) -> Any:
        # An epoch ends with a rollout, unless a callback has stopped the run before.
        return self._settle(control, True)

    def _settle(self, control: TrainerControl, is_due: bool) -> TrainerControl:
        for name in self._put_off:
            setattr(control, name, is_due)
        if is_due:
            self._put_off.clear()
        return control


class LoadsCheckpoints(WritesDraftCard):
    """Goes on from checkpoints as they were saved, and chooses the best by what is measured."""

    model: Any

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        super().save_model(output_dir, _internal_call)
        if self.is_world_process_zero() and not (_internal_call or self.is_in_train):
            run = str(self.args.output_dir)
            RunFolder(run).record_saved(Path(output_dir or run))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        model = model if model is not None else self.model
        sharded = self.is_fsdp_enabled or self.is_deepspeed_enabled
        if sharded or not restore_weights(model, resume_from_checkpoint):
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        check_best_metric(self.args.metric_for_best_model, metrics)
        return super()._determine_best_metric(metrics, trial)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with optimizer_without_idle_weights():
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_best_model(self) -> None:
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super()._load_best_model()
        else:
            assert self.state.best_model_checkpoint is not None
            self._load_from_checkpoint(self.state.best_model_checkpoint)


def check_best_metric(name: str | None, measured: Collection[str]) -> None:
    """Refuse to choose the best checkpoint by what no evaluation measures.

    Reward functions may log metrics of their own, so what there is shows in the first evaluation.

    Args:
        name: of the run's option `metric_for_best_model`.
        measured: names of what was measured, which begin with "eval_".

    Raises:
        ConfigError: the metric is not among them.
    """
    names = sorted(one.removeprefix("eval_") for one in measured)
    if name is not None and name.removeprefix("eval_") not in names:
        raise ConfigError(
            f"metric_for_best_model is {name!r}, which evaluation does not measure{suggest_nearest(name, names)}; "
            f"choose one of {', '.join(names)}"
        )


def restore_weights(model: Any, folder: str) -> bool:
    """Load a checkpoint's weights into a model that is whole in this process; return False if it is saved otherwise.

    transformers 5.17 saves some families (LLaVA, LLaVA-OneVision, Qwen2.5-VL) under the names of older releases and
    reads them back without translating: a resumed run would go on from the base weights, with a warning.
    `from_pretrained` translates.
    """
    if not isinstance(model, PreTrainedModel) or not list(Path(folder).glob("model*.safetensors")):
        return False
    saved = type(model).from_pretrained(folder, dtype=model.dtype, use_safetensors=True)
    model.load_state_dict(saved.state_dict())
    return True
