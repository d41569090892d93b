"""What a run on TRL cannot be given, said before its first step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sized
from types import MappingProxyType
from typing import Any

from vapo.engines.trl.config import VAPOConfig
from vapo.errors import ConfigError, DataError


def check_arguments(args: Any, train_dataset: Any, kwargs: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Refuse what cannot be combined with probes.

    Args:
        args: should be a `VAPOConfig`.
        train_dataset: should be there.
        kwargs: the rest of what the trainer was given.

    Raises:
        ConfigError: an option cannot be had.
        DataError: there is nothing to train on.
    """
    if not isinstance(args, VAPOConfig):
        raise ConfigError(f"args is a {type(args).__name__}; pass a vapo.VAPOConfig, which takes the same options")
    for name in ("tools", "environment_factory", "rollout_func"):
        if kwargs.get(name):
            raise ConfigError(f"{name} cannot be combined with VAPO: probes need TRL's own single-turn rollouts")
    if train_dataset is None:
        raise DataError("train_dataset is missing; pass a datasets.Dataset with prompts, images and claims")
    _check_one_rollout(args, train_dataset)


def _check_one_rollout(args: VAPOConfig, train_dataset: Any) -> None:
    # TRL leaves out the last rows of an epoch that do not fill a rollout; if those are all, it trains on nothing.
    assert args.generation_batch_size is not None and args.num_generations is not None
    num_prompts = args.generation_batch_size // args.num_generations
    if isinstance(train_dataset, Sized) and 0 < len(train_dataset) < num_prompts:
        raise DataError(
            f"the data set has {len(train_dataset)} row(s), but one rollout takes {num_prompts} prompts "
            f"(generation_batch_size={args.generation_batch_size} / num_generations={args.num_generations}), so not "
            "a single step could be made; lower generation_batch_size, or use more rows"
        )


def list_columns(dataset: Any) -> list[str]:
    """Return the names of the columns a row really has, which a transform may have changed.

    Raises:
        DataError: there is no row.
    """
    first = next(iter(dataset), None)
    if first is None:
        raise DataError("the data set is empty; it needs at least one row")
    return list(first)


def check_accuracy(accuracy: float, name: str) -> float:
    """Return what the reward function `name`, which opens the accuracy gate, returned; NaN counts as wrong.

    Raises:
        ConfigError: it is not in [0, 1].
    """
    if math.isnan(accuracy):
        return 0.0
    if not 0.0 <= accuracy <= 1.0:
        raise ConfigError(
            f"the reward function {name!r} opens the accuracy gate and returned {accuracy}; it must return a number "
            "in [0, 1], or name another one with gate_reward"
        )
    return accuracy
