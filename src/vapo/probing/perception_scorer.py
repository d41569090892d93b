"""From rollouts to what perception earns them: draw probes, ask those that can matter, reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vapo.algorithms.algorithm import Algorithm
from vapo.probing.prober import Prober
from vapo.types import Probe, Reward, Rollout, Verdict

if TYPE_CHECKING:
    from numpy.random import Generator


@dataclass(frozen=True, slots=True)
class ScoredRollout:
    """A rollout with its probes, the verdicts on them in the same order, and its reward.

    `verdicts` is empty where the probes were not asked because nothing would come of it. `gate_open` says whether
    they can change the reward.
    """

    rollout: Rollout
    probes: tuple[Probe, ...]
    verdicts: tuple[Verdict, ...]
    reward: Reward
    gate_open: bool


def draw_probes(
    algorithm: Algorithm, rollouts: Sequence[Rollout], generators: Sequence[Generator]
) -> list[tuple[Probe, ...]]:
    """Return each rollout's probes, drawn from its own generator; none where claims are needed and the row has none.

    Rows without claims come this far only where they are to be trained on without probes.
    """
    return [
        () if algorithm.needs.claims and not rollout.sample.claims else tuple(algorithm.probes(rollout, rng))
        for rollout, rng in zip(rollouts, generators, strict=True)
    ]


def ask_probes(
    prober: Prober, rollouts: Sequence[Rollout], probes: Sequence[Sequence[Probe]]
) -> list[tuple[Verdict, ...]]:
    """Return each rollout's verdicts, all asked at once.

    Args:
        prober: asks the policy.
        rollouts: at least one; the first keeps this process in step where it has nothing to ask.
        probes: of each rollout; any of them may be empty.
    """
    verdicts = iter(prober.score([probe for own in probes for probe in own], keep_in_step_with=rollouts[0]))
    return [tuple(next(verdicts) for _ in own) for own in probes]


def choose_probed(
    algorithm: Algorithm,
    accuracies: Sequence[float],
    generators: Sequence[Generator],
    progress: float,
    closed_gate_probe_share: float,
) -> list[bool]:
    """Return for each rollout whether to ask its probes: where verdicts count, and in a share of the others.

    Under the strict gate the verdicts on a wrong answer change no reward. They are still wanted for the metrics,
    where a sample does as well as all of them.

    Args:
        algorithm: says whether verdicts on a rollout count.
        accuracies: of each rollout's answer, in [0, 1].
        generators: one for each rollout, as they are after its probes were drawn.
        progress: share of training done, in [0, 1].
        closed_gate_probe_share: how many of the others, in [0, 1].
    """
    return [
        closed_gate_probe_share == 1
        or algorithm.uses_verdicts(accuracy, progress)
        or rng.random() < closed_gate_probe_share
        for accuracy, rng in zip(accuracies, generators, strict=True)
    ]


def reward_rollouts(
    algorithm: Algorithm,
    rollouts: Sequence[Rollout],
    accuracies: Sequence[float],
    probes: Sequence[tuple[Probe, ...]],
    verdicts: Sequence[tuple[Verdict, ...]],
    progress: float,
) -> list[ScoredRollout]:
    """Reward each rollout for its answer and for what it still sees.

    Args:
        algorithm: says what verdicts are worth.
        rollouts: what was sampled.
        accuracies: of each rollout's answer, in [0, 1].
        probes: of each rollout.
        verdicts: on them, or none of them.
        progress: share of training done, in [0, 1].
    """
    return [
        ScoredRollout(
            rollout,
            drawn,
            own,
            algorithm.reward(accuracy, 0.0, own, progress),
            algorithm.uses_verdicts(accuracy, progress),
        )
        for rollout, accuracy, drawn, own in zip(rollouts, accuracies, probes, verdicts, strict=True)
    ]
