"""The settings of a run that a reader wants to know: the main ones, and those that were chosen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from vapo.training.usual_settings import list_usual_settings

MAIN = (
    "model_name_or_path",
    "data",
    "split",
    "algorithm",
    "preset",
    "num_anchors",
    "late_emphasis",
    "perception_weight",
    "perception_credit",
    "num_generations",
    "generation_batch_size",
    "update_batch_size",
    "max_completion_length",
    "temperature",
    "learning_rate",
    "beta",
    "epsilon",
    "num_train_epochs",
    "max_steps",
    "seed",
)
"""Always told, in this order."""

ELSEWHERE = "/path/to/"
"""Stands for the folders of the machine that trained."""

_OF_THE_MACHINE = frozenset(
    (
        "image_folder",
        "use_cpu",
        "bf16_full_eval",
        "fp16_full_eval",
        "project",
        "hub_model_id",
        "push_to_hub",
        "hub_private_repo",
        "hub_strategy",
        "trackio_space_id",
        "trackio_bucket_id",
        "trackio_static_space_id",
        "log_completions_hub_repo",
        "resume_from_checkpoint",
        "vllm_server_base_url",
        "vllm_server_host",
        "vllm_server_port",
        "vllm_group_port",
        "dataloader_pin_memory",
        "save_steps",
        "logging_steps",
        "num_completions_to_print",
        "model_init_kwargs",  # made of other settings
        "trust_remote_code",  # not for a run file to say
    )
)


def list_recipe(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's main settings and all that were chosen, as a run file can hold them.

    Of paths stands the last part alone, behind `ELSEWHERE`; servers and accounts are not told.

    Args:
        settings: as the run recorded them.
    """
    usual = list_usual_settings(settings)
    chosen = {
        name: value
        for name, value in settings.items()
        if name in usual and name not in _OF_THE_MACHINE and value != usual[name]
    }
    if settings.get("generation_batch_size") is not None:
        chosen.pop("steps_per_generation", None)  # one follows from the other
    if settings.get("update_batch_size") is not None:
        chosen.pop("gradient_accumulation_steps", None)
    if settings.get("probe_seed") == settings.get("seed"):
        chosen.pop("probe_seed", None)
    main = {name: settings[name] for name in MAIN if settings.get(name) is not None}
    if "max_steps" in main:  # the one that is set decides
        main.pop("num_train_epochs" if main["max_steps"] > 0 else "max_steps", None)
    recipe = {**main, **{name: value for name, value in chosen.items() if name not in MAIN}}
    return {name: _name(value) for name, value in recipe.items()}


def _name(value: Any) -> Any:
    is_place = isinstance(value, str) and PurePath(value).is_absolute()
    return ELSEWHERE + PurePath(value).name if is_place else value
