"""The prober for a transformers model: packed once a first look has shown that nothing changes, else one row each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, Literal

import torch

from vapo.models.tree.packing_obstacles import PackingCheck
from vapo.probing.packed_prober import PackedProber
from vapo.probing.reference import ReferenceProber
from vapo.types import Probe, Rollout, Verdict

NUM_COMPARED = 4


class TransformersProber:
    """Ask a transformers model, the fastest way that is exact for it.

    The first probes asked are put to the model both ways, packed and one row each.

    Args:
        model: the policy.
        processor: its processor.
        packing: "auto" packs where it is exact, "require" raises where it is not, "off" never packs.
        tell: is told in a sentence why probes are not packed.
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
        tell: Callable[[str], None] | None = None,
        **options: Any,
    ) -> None:
        self._reference = ReferenceProber(model, processor, **options)
        self._check: PackingCheck | None = None
        if packing != "off":
            self._check = PackingCheck(
                model,
                required=packing == "require",
                autocast=options.get("autocast", nullcontext),
                agree=options.get("agree_on_batches"),
                tell=lambda obstacle: tell and tell(f"every probe is encoded as a row of its own: {obstacle}"),
            )
        self._packed = PackedProber(model, processor, **options) if self.is_packed else None

    @property
    def is_packed(self) -> bool:
        """Whether probes are packed."""
        return self._check is not None and self._check.is_on

    def score(self, probes: Sequence[Probe], keep_in_step_with: Rollout | None = None) -> list[Verdict]:
        """Return one verdict per probe, in order; see `PackedProber.score`."""
        if self._packed is None or self._check is None:
            return self._reference.score(probes, keep_in_step_with)
        both = (self._packed, self._reference)

        def compare() -> float:
            found = [prober.score(probes[:NUM_COMPARED], keep_in_step_with) for prober in both]
            return max((abs(own.p_true - other.p_true) for own, other in zip(*found, strict=True)), default=0.0)

        if not probes and keep_in_step_with is None:
            return []
        prober = self._packed if self._check.compare_once("verdicts", compare) else self._reference
        return prober.score(probes, keep_in_step_with)
