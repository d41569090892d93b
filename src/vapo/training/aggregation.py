"""The mean over tokens that TRL's loss is, for what an algorithm adds to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from vapo.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Batch:
    """What the normalisers of TRL 1.16 divide by, of one micro-batch.

    Attributes:
        max_completion_length: of the run, in tokens.
        accumulation_steps: micro-batches of an update; 1 in evaluation.
        num_tokens: completion tokens that "dapo" and its kin count for one micro-batch of one process.
    """

    max_completion_length: int
    accumulation_steps: float
    num_tokens: torch.Tensor | float


def aggregate(values_BT: torch.Tensor, mask_BT: torch.Tensor, loss_type: str, batch: Batch) -> torch.Tensor:
    """Return the mean of values over tokens as TRL makes one of its per-token loss.

    Args:
        values_BT: of B responses with up to T tokens.
        mask_BT: 1 where there is a token that is trained on.
        loss_type: of TRL.
        batch: what is divided by.

    Raises:
        ConfigError: the loss type is not known here.

    Source: `GRPOTrainer._compute_loss` of TRL 1.16, whose normalisers stand inline.
    """
    check_loss_type(loss_type)
    return _NORMALISERS[loss_type]((values_BT * mask_BT), mask_BT, batch)


def check_loss_type(loss_type: str) -> None:
    """Raise ConfigError unless it is known how TRL averages this loss over tokens."""
    if loss_type not in _NORMALISERS:
        raise ConfigError(
            f"the algorithm adds to the loss of single tokens, and how loss_type={loss_type!r} averages them is not "
            f"known; use one of {', '.join(_NORMALISERS)}"
        )


def _mean_of_means(masked: torch.Tensor, mask: torch.Tensor, batch: Batch) -> torch.Tensor:
    return (masked.sum(-1) / mask.sum(-1).clamp(min=1.0)).mean() / batch.accumulation_steps


def _mean_of_micro_batch(masked: torch.Tensor, mask: torch.Tensor, batch: Batch) -> torch.Tensor:
    return masked.sum() / mask.sum().clamp(min=1.0) / batch.accumulation_steps


def _mean_over_longest(masked: torch.Tensor, mask: torch.Tensor, batch: Batch) -> torch.Tensor:
    return masked.sum() / (masked.size(0) * batch.max_completion_length) / batch.accumulation_steps


def _mean_of_update(masked: torch.Tensor, mask: torch.Tensor, batch: Batch) -> torch.Tensor:
    return masked.sum() / batch.num_tokens


def _mean_of_sums(masked: torch.Tensor, mask: torch.Tensor, batch: Batch) -> torch.Tensor:
    return masked.sum(-1).mean() / batch.accumulation_steps


_NORMALISERS: dict[str, Callable[[torch.Tensor, torch.Tensor, Batch], torch.Tensor]] = {
    "grpo": _mean_of_means,
    "sapo": _mean_of_means,
    "bnpo": _mean_of_micro_batch,
    "dr_grpo": _mean_over_longest,
    "dapo": _mean_of_update,
    "cispo": _mean_of_update,
    "vespo": _mean_of_update,
    "luspo": _mean_of_sums,
}
