"""The prober for a transformers model: packed once a first look has shown that nothing changes, else one row each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch

from vapo.engines.probes.packed_prober import PackedProber
from vapo.engines.probes.prober import Prober
from vapo.engines.probes.reference import ReferenceProber
from vapo.engines.tree.packing_obstacles import find_packing_obstacle
from vapo.errors import ModelError
from vapo.types import Probe, Rollout, Verdict

NUM_COMPARED = 4
TOLERANCE = 1e-3
LOW_PRECISION_TOLERANCE = 0.1
"""Difference in P(true) that bfloat16 may make between two orders of summation."""


class TransformersProber:
    """Ask a transformers model, the fastest way that is exact for it.

    The first probes asked are put to the model both ways, packed and one row each.

    Args:
        model: the policy.
        processor: its processor.
        packing: "auto" packs where it is exact, "require" raises where it is not, "off" never packs.
        options: what `BatchedProber` takes.

    Raises:
        ModelError: the model or tokenizer cannot be probed, or packing is required and cannot be had.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        processor: Any,
        *,
        packing: Literal["auto", "require", "off"] = "auto",
        **options: Any,
    ) -> None:
        self._reference = ReferenceProber(model, processor, **options)
        self._required = packing == "require"
        self._agree: Callable[[int], int] = options.get("agree_on_batches") or (lambda own: own)
        self._autocast: Callable[[], AbstractContextManager[Any]] = options.get("autocast", nullcontext)
        self._dtype = next(model.parameters()).dtype
        self._compared = False
        packs = packing == "require" or (packing == "auto" and find_packing_obstacle(model) is None)
        self._prober: Prober = PackedProber(model, processor, **options) if packs else self._reference

    @property
    def is_packed(self) -> bool:
        """Whether probes are packed."""
        return self._prober is not self._reference

    def score(self, probes: Sequence[Probe], keep_in_step_with: Rollout | None = None) -> list[Verdict]:
        """Return one verdict per probe, in order; see `PackedProber.score`."""
        if self.is_packed and not self._compared and (probes or keep_in_step_with is not None):
            self._compared = True
            difference = self._compare(probes[:NUM_COMPARED], keep_in_step_with)
            if self._agree(int(difference > self._tolerance())):
                if self._required:
                    raise ModelError(
                        f"packed verdicts differ from the model's own by {difference:.2g}, so packing='require' "
                        "cannot be had; use packing='off'"
                    )
                self._prober = self._reference
        return self._prober.score(probes, keep_in_step_with)

    def _compare(self, probes: Sequence[Probe], keep_in_step_with: Rollout | None) -> float:
        both = [prober.score(probes, keep_in_step_with) for prober in (self._prober, self._reference)]
        return max((abs(own.p_true - other.p_true) for own, other in zip(*both, strict=True)), default=0.0)

    def _tolerance(self) -> float:
        with self._autocast():
            exact = self._dtype == torch.float32 and not any(map(torch.is_autocast_enabled, ("cpu", "cuda")))
        return TOLERANCE if exact else LOW_PRECISION_TOLERANCE
