"""Where in a run a completion stands, by what verl tells an agent loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vapo.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a run a completion stands.

    Attributes:
        rollout_number: the place of its batch in the run, from 0.
        row: the row of the data it answers.
        member: its own place in the group.
    """

    rollout_number: int
    row: int
    member: int


def find_place(row: Mapping[str, Any], weights: int | None, group_size: int) -> Place:
    """Return where in the run a row's completion stands.

    verl's V1 trainer gives the step and the member's number with the row. V0 gives neither: there the step is told
    by the weights that sampled, and the member by its priority, which counts through the batch.

    Args:
        row: the fields that verl hands to an agent loop.
        weights: the weights that sampled the completion; None where the server does not say.
        group_size: completions of one prompt.
    """
    step = row.get("global_steps")
    number = int(step) - 1 if step is not None else (weights or 0)
    member = row.get("session_id")
    if member is None:
        member = int(row.get("priority", 0)) % group_size
    return Place(max(number, 0), int(row.get("index", 0)), int(member))


def find_progress(config: Any, rollout_number: int) -> float | None:
    """Return which share of the training is done, in [0, 1]; None where the trainer did not say how long it is.

    Args:
        config: verl's whole configuration, in which its trainer writes how many updates there will be.
        rollout_number: the place of the batch in the run.
    """
    updates = int(config.actor_rollout_ref.actor.optim.get("total_training_steps", -1))
    trainer = config.trainer
    mode = trainer.get("v1", {}).get(trainer.get("v1", {}).get("trainer_mode", "sync"), {})
    steps = updates // int(mode.get("parameter_sync_step", 1))
    return min(rollout_number / steps, 1.0) if steps > 0 else None


def check_progress(progress: float | None, *, required: bool) -> float:
    """Return the progress that an algorithm is told.

    Raises:
        ConfigError: it depends on it, and nobody knows how far the training is.
    """
    if progress is None and required:
        raise ConfigError(
            "the algorithm changes as the training goes on (as accuracy_gate='relaxed' and NoisyRollout do), but the "
            "trainer did not say how long it is; set actor_rollout_ref.actor.optim.total_training_steps"
        )
    return progress or 0.0
