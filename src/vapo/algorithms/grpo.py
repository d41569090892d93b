"""GRPO: the group's answers are graded, nothing is probed (arXiv 2402.03300)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vapo.algorithms.algorithm import Needs
from vapo.core.rewards import compose_reward
from vapo.types import Probe, Reward, Rollout, Verdict

if TYPE_CHECKING:
    from numpy.random import Generator


@dataclass(frozen=True, slots=True)
class GRPO:
    """Reward the answer and its format alone."""

    accuracy_weight: float = 1.0
    format_weight: float = 1.0

    @property
    def needs(self) -> Needs:
        """Nothing beyond rollouts."""
        return Needs()

    def probes(self, rollout: Rollout, rng: Generator) -> Sequence[Probe]:
        """Return no probes."""
        return ()

    def hears(self, accuracy: float, progress: float) -> bool:
        """Return False."""
        return False

    def reward(self, accuracy: float, format: float, verdicts: Sequence[Verdict], progress: float) -> Reward:
        """Return w_acc * accuracy + w_fmt * format."""
        return compose_reward(
            accuracy,
            format,
            None,
            accuracy_weight=self.accuracy_weight,
            format_weight=self.format_weight,
        )
