"""What every probe backend offers: verdicts for probes, in the order they were asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from vapo.types import Probe, Verdict


class Prober(Protocol):
    """Ask a policy whether claims are true.

    Backends differ in speed alone: `tests/engines/prober_contract.py` holds what each must satisfy.
    """

    def score(self, probes: Sequence[Probe]) -> list[Verdict]:
        """Return one verdict per probe, in order. Parameters, gradients and random state stay as they were."""
        ...
