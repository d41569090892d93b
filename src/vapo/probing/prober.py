"""What every probe backend offers: verdicts for probes, in the order they were asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from vapo.types import Probe, Rollout, Verdict


class Prober(Protocol):
    """Ask a policy whether claims are true.

    Backends differ in speed alone: `tests/prober_contract.py` holds what each must satisfy.
    """

    def score(self, probes: Sequence[Probe], keep_in_step_with: Rollout | None = None) -> list[Verdict]:
        """Return one verdict per probe, in order. Parameters, gradients and random state stay as they were.

        Args:
            probes: any number, of any rollouts.
            keep_in_step_with: a rollout to run in place of probes where other ranks have more of them and a forward
                pass is a collective call.
        """
        ...
