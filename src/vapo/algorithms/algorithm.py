"""What an algorithm tells an engine: what it needs, where it looks, and what that is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from vapo.types import Probe, Reward, Rollout, Verdict

if TYPE_CHECKING:
    from numpy.random import Generator


@dataclass(frozen=True, slots=True)
class Needs:
    """What an engine must supply; one that cannot refuses before the first step.

    Attributes:
        claims: every sample must bring claims.
        shared_draws: all members of a group get generators in the same state, so that they draw alike.
        accuracy: what verdicts are worth depends on the answer's accuracy; an engine refuses one outside [0, 1].
    """

    claims: bool = False
    shared_draws: bool = False
    accuracy: bool = True


class Algorithm(Protocol):
    """One way to turn rollouts into rewards. Advantages and the update are the engine's."""

    @property
    def needs(self) -> Needs:
        """What the engine must supply."""
        ...

    def probes(self, rollout: Rollout, rng: Generator) -> Sequence[Probe]:
        """Return the probes to hang on `rollout`, drawn with `rng` alone."""
        ...

    def hears(self, accuracy: float, progress: float) -> bool:
        """Return whether the verdicts on a rollout with this accuracy can change its reward."""
        ...

    def reward(self, accuracy: float, format: float, verdicts: Sequence[Verdict], progress: float) -> Reward:
        """Return the reward of a rollout from its graded answer and the verdicts on its probes.

        Args:
            accuracy: 1 for a right answer, 0 for a wrong one.
            format: 1 for the asked response format, 0 otherwise.
            verdicts: on this rollout's probes, in any order.
            progress: share of training done, in [0, 1].
        """
        ...
