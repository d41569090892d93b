"""What of a run's options verl has no counterpart for: all of it, so that it can be mended at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from vapo.errors import ConfigError
from vapo.training.options import RunOptions
from vapo.verl.derived import (
    LOSSES,
    OF_DATA,
    OF_TRL,
    SCHEDULES,
    Derived,
    Machines,
    derive,
    derive_settings,
    find_schedule,
    find_update_batch,
)
from vapo.verl.settings import LoopSettings


def find_obstacles(options: RunOptions, given: Collection[str], machines: Machines = Machines()) -> list[str]:
    """Return why a run cannot go to verl; see `list_obstacles`."""
    found = list(list_obstacles(options, machines, given, derive(options, machines)))
    try:
        derive_settings(options)
    except ConfigError as error:
        found.append(str(error))
    return found


def list_obstacles(
    options: RunOptions, machines: Machines, given: Collection[str], derived: Collection[Derived]
) -> Iterator[str]:
    """Yield why a run cannot go to verl as it is, a sentence each.

    Args:
        options: of the run.
        machines: what it is spread over.
        given: names of the options that were given, none of which may be lost on the way.
        derived: verl's configuration of it.
    """
    yield from _list_batches(options, machines)
    yield from _list_options(options)
    known = OF_TRL | OF_DATA | set(LoopSettings.__dataclass_fields__) | {o for one in derived for o in one.options}
    lost = sorted(set(given) - known)
    if lost:
        yield (
            f"no counterpart on verl is known for {', '.join(lost)}, so the run would be another one; leave out what "
            "it can do without, and set verl's own options in the file that `vapo verl config` writes"
        )


def _list_batches(options: RunOptions, machines: Machines) -> Iterator[str]:
    training: Any = options.training
    group, rollout, update = training.num_generations, training.generation_batch_size, find_update_batch(training)
    micro = training.per_device_train_batch_size
    if update % machines.gpus or (update // machines.gpus) % micro:
        yield (
            f"an update of {update} completions cannot be spread over {machines.gpus} GPUs in steps of {micro}: "
            f"update_batch_size must be a multiple of GPUs x per_device_train_batch_size ({machines.gpus * micro})"
        )
    if rollout % update or update % group:
        yield (
            f"generation_batch_size={rollout}, update_batch_size={update} and num_generations={group} must each be a "
            "multiple of the next, because verl counts prompts"
        )


def _list_options(options: RunOptions) -> Iterator[str]:
    training, model = options.training, options.model
    if training.mask_truncated_completions:
        yield "mask_truncated_completions has no counterpart on verl; leave it at False"
    if training.loss_type not in LOSSES:
        yield f"loss_type={training.loss_type!r} has no counterpart on verl; use one of {', '.join(LOSSES)}"
    if training.importance_sampling_level != "token":
        yield "importance_sampling_level has no counterpart on verl; leave it at 'token'"
    if training.scale_rewards not in ("group", "none"):
        yield f"scale_rewards={training.scale_rewards!r} has no counterpart on verl; use 'group' or 'none'"
    if find_schedule(training) not in SCHEDULES:
        yield (
            f"lr_scheduler_type={find_schedule(training)!r} has no counterpart on verl; use one of "
            f"{', '.join(SCHEDULES)}"
        )
    for name in ("load_in_4bit", "load_in_8bit"):
        if getattr(model, name):
            yield f"{name} has no counterpart on verl, which trains 16-bit weights; leave it out"
    if model.model_revision not in (None, "main"):
        yield "verl loads no revision of a model; download it and give its folder as model_name_or_path"
    if training.own_claims_steps:
        yield "own_claims_steps cannot be had on verl; use claims in the data (`vapo claims make`)"
    if training.rows_without_claims != "error":
        yield "rows_without_claims='grpo' cannot be had on verl; leave these rows out of the data"
