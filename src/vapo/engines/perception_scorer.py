"""From rollouts to what perception earns them: hang probes, ask them all at once, sort the verdicts, reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vapo.algorithms.algorithm import Algorithm
from vapo.engines.prober import Prober
from vapo.types import Reward, Rollout, Verdict

if TYPE_CHECKING:
    from numpy.random import Generator


@dataclass(frozen=True, slots=True)
class ScoredRollout:
    """A rollout with the verdicts on its probes, in the order they were drawn, and its reward."""

    rollout: Rollout
    verdicts: tuple[Verdict, ...]
    reward: Reward


def score_perception(
    algorithm: Algorithm,
    prober: Prober,
    rollouts: Sequence[Rollout],
    accuracies: Sequence[float],
    generators: Sequence[Generator],
    progress: float,
) -> list[ScoredRollout]:
    """Probe rollouts and reward them.

    Args:
        algorithm: says where to look and what it is worth.
        prober: asks the policy.
        rollouts: at least one.
        accuracies: of each rollout's answer, in [0, 1].
        generators: one for each rollout, from which its anchors and claims are drawn.
        progress: share of training done, in [0, 1].
    """
    drawn = [algorithm.probes(rollout, rng) for rollout, rng in zip(rollouts, generators, strict=True)]
    verdicts = iter(prober.score([probe for probes in drawn for probe in probes], keep_in_step_with=rollouts[0]))
    scored: list[ScoredRollout] = []
    for rollout, accuracy, probes in zip(rollouts, accuracies, drawn, strict=True):
        own = tuple(next(verdicts) for _ in probes)
        scored.append(ScoredRollout(rollout, own, algorithm.reward(accuracy, 0.0, own, progress)))
    return scored
