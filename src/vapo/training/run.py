"""One training run on TRL, from options to a finished folder; run again, it goes on where it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback
from trl import get_peft_config, get_quantization_config

from vapo.core.control_characters import show_controls
from vapo.data.origin import describe_origin
from vapo.data.samples import Samples, load_samples
from vapo.models.policy.checkpoint import load_processor
from vapo.models.think_tags import adopt_think_tags
from vapo.run_folder import MetricsFile, ProcessCount, RunFolder, find_stop
from vapo.training.cached_rows import make_training_rows
from vapo.training.checks import check_arguments
from vapo.training.options import RunOptions
from vapo.training.preparation import Beginning, explaining_out_of_memory, prepare_run, setting_up
from vapo.training.prompt_lengths import leave_out_long_prompts
from vapo.training.run_record import describe_training
from vapo.training.sharded_checkpoint import check_sharded_checkpoint
from vapo.training.sharding import check_same_sharding
from vapo.training.trainer import VAPOTrainer
from vapo.training.vllm_rollouts import check_vllm


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """What a run left behind.

    Attributes:
        folder: of the run.
        steps: made in all.
        new_steps: made by this call.
        stopped: why it ended before its last step, if it did.
    """

    folder: Path
    steps: int
    new_steps: int
    stopped: str | None = None


def train(
    options: RunOptions, callbacks: Sequence[TrainerCallback] = (), reward_funcs: Sequence[Any] | None = None
) -> FinishedRun:
    """Train, or go on training, and save the policy into the run's folder.

    Args:
        options: of the run.
        callbacks: of transformers, beside the one that keeps the metrics.
        reward_funcs: see `VAPOTrainer`, in place of those that the options name; their names are among the run's
            settings.

    Raises:
        ConfigError: an option is out of range, or the folder holds a run with other settings.
        DataError: the data cannot be used.
        ModelError: the model cannot be loaded or probed.
    """
    training = options.training
    # What can be refused is refused before the folder is opened: a mistake must not be held against the next try.
    # The trainer checks its arguments once more, for those who make one without a run.
    prepare_run(options)
    algorithm = training.make_algorithm()
    # Where rows without claims are trained on too, the trainer sees to it that there are others.
    needs_claims = algorithm.needs.claims and training.rows_without_claims == "error"
    samples = load_split(options, options.data.split, require_claims=needs_claims)
    rows = make_training_rows(samples, system_prompt=options.data.system_prompt)
    check_arguments(training, rows)
    check_vllm(options.model_name, training)
    loaded, eval_rows = {options.data.split: samples}, None
    if options.data.eval_split is not None:
        eval_samples = load_split(options, options.data.eval_split, require_claims=needs_claims)
        eval_rows = make_training_rows(eval_samples, system_prompt=options.data.system_prompt)
        loaded[options.data.eval_split] = eval_samples
    folder = RunFolder(str(training.output_dir), training.world_size)
    if training.process_index == 0:
        own = {} if reward_funcs is None else {"reward_funcs": [function.__name__ for function in reward_funcs]}
        folder.open({**describe(options), **own})
        folder.record_data(lambda: {split: describe_origin(options.source, split, s) for split, s in loaded.items()})
    checkpoint = folder.find_checkpoint()
    if checkpoint is not None and not folder.is_finished:
        check_same_sharding(checkpoint, training)
        check_sharded_checkpoint(checkpoint)
    done = 0 if checkpoint is None else int(checkpoint.name.removeprefix("checkpoint-"))
    if folder.is_finished:
        return FinishedRun(folder.path, done, 0, folder.stopped)
    beginning = Beginning()
    with setting_up(), explaining_out_of_memory():
        trainer = VAPOTrainer(
            options.model_name,
            None if reward_funcs is None else list(reward_funcs),
            args=training,
            train_dataset=rows,
            eval_dataset=eval_rows,
            quantization_config=get_quantization_config(options.model),
            peft_config=get_peft_config(options.model),
            algorithm=algorithm,
            callbacks=[MetricsFile(folder.path), ProcessCount(training.world_size), *callbacks, beginning],
        )
    trainer.accelerator.wait_for_everyone()
    if trainer.accelerator.is_main_process:
        folder.remove_checkpoints_after(checkpoint)
    trainer.accelerator.wait_for_everyone()
    if checkpoint is not None:
        trainer.accelerator.print(f"going on from {checkpoint}")
        before = folder.count_processes_of(checkpoint)
        if before != training.world_size:
            trainer.accelerator.print(
                f"{before} process(es) came so far and {training.world_size} go on: with the same data, batches and "
                "probes, but the policy draws other tokens from here on"
            )
    steps = done
    if checkpoint is not None and folder.has_all_steps(checkpoint):  # stopped between the last step and the end
        trainer._load_from_checkpoint(str(checkpoint))
        stopped = find_stop(checkpoint)
    else:
        with setting_up(beginning), explaining_out_of_memory():
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        steps, stopped = trainer.state.global_step, trainer.stopped
    trainer.save_model(training.output_dir)
    if trainer.accelerator.is_main_process:
        folder.mark_finished(stopped)
    trainer.accelerator.wait_for_everyone()
    return FinishedRun(folder.path, steps, steps - done, stopped)


def leave_other_processes() -> None:
    """Take leave of the processes trained with; without it, one that ends first may abort on its way out."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def load_split(options: RunOptions, split: str, *, require_claims: bool) -> Samples:
    """Load one split of the data the options name, and tell what is left out of it."""
    data = options.data
    processor: Any = load_processor(
        options.model_name, options.training.trust_remote_code, options.model.model_revision
    )
    adopt_think_tags(options.training.think_tags, processor.tokenizer)
    samples = load_samples(
        options.source,
        split=split,
        columns=data.columns,
        on_bad_row=data.on_bad_row,
        require_claims=require_claims,
        image_folder=data.image_folder,
        allow_urls=data.allow_urls,
        max_pixels=data.max_pixels,
        limit=data.limit,
        processors=[processor],
    )
    if data.max_prompt_tokens is not None:
        samples = leave_out_long_prompts(samples, processor, data.max_prompt_tokens, system_prompt=data.system_prompt)
    if samples.skipped and options.training.process_index == 0:
        total = len(samples) + len(samples.skipped)
        last = show_controls(str(samples.skipped[-1]))
        print(f"rows left out: {len(samples.skipped)} of {total}; the last is {last}")
    return samples


def describe(options: RunOptions) -> dict[str, Any]:
    """Return all settings that a run's result depends on."""
    return {
        **asdict(options.data),
        **describe_training(options.training),
        **asdict(options.model),
        "model_name_or_path": options.model_name,
        "data": options.source,
    }
