"""Perception in the log of verl's V1 trainer, through the one place where it lets others add to a step's metrics.

The trainer logs extra parts of rewards in validation alone. But it asks a replay buffer for each step's completions,
takes metrics from it with them, and lets users name a maker of their own (`trainer.v1.sampler.custom_sampler`). These
buffers are verl's, and add what the completions' parts say.
"""

# verl and Ray are in an environment of their own.
# pyright: reportMissingImports=false

from __future__ import annotations

from typing import Any

import transfer_queue
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer, ReplayBufferAsync

from vapo.verl.parts import Parts, summarise_parts


def make_perception_buffer(*, trainer_mode: str, sampler_kwargs: Any, **given: Any) -> ReplayBuffer:
    """Make verl's replay buffer for the trainer's mode, with metrics of perception.

    verl leaves group filtering to users' buffers, and tells them neither the metric nor the batch size: both stand in
    `trainer.v1.sampler.sampler_kwargs`.
    """
    metric = sampler_kwargs.get("filter_groups_metric")
    given |= {"trainer_mode": trainer_mode, "sampler_kwargs": sampler_kwargs, "filter_groups_metric": metric}
    if trainer_mode != "sync":
        return AsynchronousBuffer(**given)
    batch_size = int(sampler_kwargs["train_batch_size"])
    at_once = batch_size if metric is None else 1  # verl's trainer fetches prompts one by one where it filters
    return SynchronousBuffer(**given, train_batch_size=batch_size, gen_batch_size=at_once)


class SynchronousBuffer(ReplayBuffer):
    """For `trainer.v1.trainer_mode=sync`."""

    def sample(self, global_steps: int, partition_id: str, batch_size: int) -> tuple[Any, dict[str, Any]]:
        """Return a batch and its metrics; see `ReplayBuffer.sample`."""
        batch, metrics = super().sample(global_steps=global_steps, partition_id=partition_id, batch_size=batch_size)
        return batch, {**metrics, **summarise_batch(batch, partition_id)}


class AsynchronousBuffer(ReplayBufferAsync):
    """For the other modes."""

    def sample(self, global_steps: int, partition_id: str, batch_size: int) -> tuple[Any, dict[str, Any]]:
        """Return a batch and its metrics; see `ReplayBufferAsync.sample`."""
        batch, metrics = super().sample(global_steps=global_steps, partition_id=partition_id, batch_size=batch_size)
        return batch, {**metrics, **summarise_batch(batch, partition_id)}


def summarise_batch(batch: Any, partition_id: str) -> dict[str, float]:
    """Return the metrics of perception of a batch to train on; those of validation the trainer makes itself."""
    if partition_id == "val":
        return {}
    data = transfer_queue.kv_batch_get(keys=batch.keys, partition_id=partition_id, select_fields=["extra_fields"])
    return summarise_parts([read_parts(fields) for fields in data["extra_fields"]])


def read_parts(fields: Any) -> Parts:
    """Return the parts of one completion's reward out of what the agent loop left with it."""
    return getattr(fields, "data", fields).get("reward_extra_info", {})
