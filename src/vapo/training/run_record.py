"""What a trainer records of its run where no command has: settings, versions, data and metrics."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from datasets import Dataset

from vapo.algorithms.registry import find_algorithm
from vapo.data.claim_columns import read_claims
from vapo.data.columns import DEFAULT_COLUMNS, match_columns
from vapo.data.origin import describe_origin
from vapo.data.samples import Samples
from vapo.errors import DataError
from vapo.run_folder import MetricsFile, RunFolder
from vapo.training.cached_rows import reads_the_same_twice
from vapo.training.data_checks import read_without_images
from vapo.training.reward_columns import perception_bonus
from vapo.training.rewards import message_text
from vapo.training.sample_rows import SampleRows

# Where a run is written, reported or executed does not change what it computes.
NOT_SETTINGS = ("output_dir", "run_name", "report_to", "logging_dir", "disable_tqdm", "hub_token", "local_rank")

# Derived from update_batch_size and the number of processes, which may change while a run is interrupted.
SHARES_OF_PROCESSES = ("gradient_accumulation_steps", "steps_per_generation")

MADE_BY = "VAPOTrainer"
"""What the setting `made_by` says of a run whose trainer recorded it."""


class RunRecord(MetricsFile):
    """Record what a run is when it begins, and its metrics as they come.

    Args:
        trainer: of the run.
    """

    def __init__(self, trainer: Any) -> None:
        super().__init__(Path(trainer.args.output_dir))
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if not state.is_world_process_zero:
            return
        folder = RunFolder(args.output_dir, args.world_size)
        data, prompts = _describe_data(self._trainer)
        changed = folder.begin_anew({**_describe_run(self._trainer), **prompts}, data, state.global_step)
        if changed:
            logging.getLogger(__name__).warning(
                "%s held the record of a run with other settings (%s); the record is of this run now",
                folder.path,
                ", ".join(changed),
            )


def keep_record(trainer: Any) -> None:
    """Let a trainer record its run, unless one of its callbacks keeps the metrics already."""
    if not any(isinstance(one, MetricsFile) for one in trainer.callback_handler.callbacks):
        trainer.add_callback(RunRecord(trainer))


def describe_training(training: Any) -> dict[str, Any]:
    """Return the options of a `VAPOConfig` that a run's result depends on."""
    left_out = NOT_SETTINGS if training.update_batch_size is None else NOT_SETTINGS + SHARES_OF_PROCESSES
    return {name: value for name, value in training.to_dict().items() if name not in left_out}


def _describe_run(trainer: Any) -> dict[str, Any]:
    settings = describe_training(trainer.args)
    if type(trainer.algorithm) is not find_algorithm(trainer.args.algorithm):
        kind = type(trainer.algorithm)
        settings |= {"algorithm": f"{kind.__module__}:{kind.__qualname__}"}
        settings |= {"algorithm_options": asdict(trainer.algorithm)}
    model = trainer.model
    rewards = [name for name in trainer.reward_func_names if name != perception_bonus.__name__]
    transform = _find_transform(trainer.train_dataset)
    loaded_with = transform.samples.loaded_with if transform and isinstance(transform.samples, Samples) else {}
    return {
        **loaded_with,
        **settings,
        "model_name_or_path": model.config._name_or_path,
        "use_peft": getattr(model, "peft_config", None) is not None,
        "load_in_4bit": bool(getattr(model, "is_loaded_in_4bit", False)),
        "load_in_8bit": bool(getattr(model, "is_loaded_in_8bit", False)),
        "reward_funcs": trainer.args.reward_funcs or rewards,
        "made_by": MADE_BY,
    }


def _describe_data(trainer: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what is recorded of the data, by split, and the system message that all rows have."""
    given = {"train": trainer.train_dataset, "eval": trainer.eval_dataset}
    data: dict[str, Any] = {}
    prompts: set[str | None] = set()
    for split, dataset in given.items():
        if isinstance(dataset, Dataset) and reads_the_same_twice(dataset) and "prompt" in dataset.column_names:
            data[split], found = _describe_rows(dataset, split)
            prompts |= found if split == "train" else set()
    return data, {"system_prompt": prompts.pop()} if len(prompts) == 1 else {}


def _describe_rows(dataset: Dataset, split: str) -> tuple[dict[str, Any], set[str | None]]:
    layout = match_columns(DEFAULT_COLUMNS, dataset.column_names, asks=False)
    columns = [name for name in layout.used if name not in (layout.images, layout.id)]
    counts = {True: 0, False: 0}
    prompts: set[str | None] = set()
    for row in read_without_images(dataset, ["prompt", *columns]):
        prompts |= _find_system_texts(row["prompt"])
        try:
            for claim in read_claims(row, layout):
                counts[claim.is_true] += 1
        except DataError:  # a run without probes trains on such a row
            continue
    transform = _find_transform(dataset)
    samples = transform.samples if transform else None
    origin: dict[str, Any] = {"source": str(dataset.info.dataset_name or "a data set in Python"), "split": split}
    origin |= {"rows_left_out": 0, "files": [], "commit": None}
    if isinstance(samples, Samples) and samples.loaded_with:
        origin |= describe_origin(samples.loaded_with["data"], samples.loaded_with["split"], samples)
    return {**origin, "rows": len(dataset), "true_claims": counts[True], "false_claims": counts[False]}, prompts


def _find_system_texts(prompt: str | Iterable[Mapping[str, Any]]) -> set[str | None]:
    """Return the text of a prompt's system messages; two stand for what cannot be known."""
    if isinstance(prompt, str):  # a chat template may have put anything in front
        return {None, prompt}
    return {message_text(one) for one in prompt if one["role"] == "system"} or {None}


def _find_transform(dataset: Any) -> SampleRows | None:
    transform = dataset.format["format_kwargs"].get("transform") if isinstance(dataset, Dataset) else None
    return transform if isinstance(transform, SampleRows) else None
