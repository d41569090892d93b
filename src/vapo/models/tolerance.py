"""How far two ways of computing the same numbers may be apart, before one of them is wrong."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

TOLERANCE = 1e-3
"""By which float32 log-probabilities, in nats, and P(true) may differ; orders of summation make 1e-6 to 1e-5."""
LOW_PRECISION_TOLERANCE = 0.1
"""The same in bfloat16, where two orders of summation differ by about 0.01 nats on average over tokens."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What may lie between two ways of asking a model.

    Attributes:
        is_exact: whether the model computes in float32, where two orders of summation hardly differ.
    """

    is_exact: bool

    @classmethod
    def of(
        cls, model: torch.nn.Module, autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    ) -> Tolerance:
        """Return that of a model that is called under `autocast`."""
        with autocast():
            low = any(map(torch.is_autocast_enabled, ("cpu", "cuda")))
        return cls(not low and next(model.parameters()).dtype == torch.float32)

    def measure(self, differences: torch.Tensor) -> float:
        """Return one number for the differences of many tokens: the greatest, or in low precision their mean.

        Args:
            differences: absolute ones, any shape; 0.0 comes of none.
        """
        if not differences.numel():
            return 0.0
        return float(differences.max() if self.is_exact else differences.mean())

    def allows(self, difference: float) -> bool:
        """Whether a difference may come from rounding alone; NaN may not."""
        return difference <= (TOLERANCE if self.is_exact else LOW_PRECISION_TOLERANCE)
