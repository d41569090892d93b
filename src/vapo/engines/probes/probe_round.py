"""The probes of one batch of rollouts: drawn once, asked in TRL's scoring pass or on their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vapo.engines.probes.perception_scorer import (
    ScoredRollout,
    ask_probes,
    choose_probed,
    draw_probes,
    reward_rollouts,
)
from vapo.engines.tree.packed import Question
from vapo.types import Rollout, Verdict

if TYPE_CHECKING:
    from numpy.random import Generator

    from vapo.algorithms.algorithm import Algorithm
    from vapo.engines.probes.prober import Prober
    from vapo.models.questions import ClaimQuestions


class ProbeRound:
    """Holds a batch of rollouts from the moment they are made until they are rewarded.

    Args:
        algorithm: draws the probes and says what verdicts are worth.
        rollouts: this process's share.
        generators: one for each, from which its probes are drawn.
    """

    def __init__(self, algorithm: Algorithm, rollouts: Sequence[Rollout], generators: Sequence[Generator]) -> None:
        self.rollouts = rollouts
        self._algorithm = algorithm
        self._generators = generators
        self._probes = draw_probes(algorithm, rollouts, generators)
        self._verdicts: list[tuple[Verdict, ...]] | None = None

    def questions(self, encoder: ClaimQuestions) -> list[list[Question]]:
        """Return the probes as tokens to hang on each rollout's completion."""
        return [
            [Question(0, probe.anchor.index, encoder.encode(probe.claim.text)) for probe in own]
            for own in self._probes
        ]

    def take_answers(self, p_true: Sequence[Sequence[float]]) -> None:
        """Take the answers to `questions`, so that nothing is left to ask."""
        self._verdicts = [
            tuple(Verdict(probe, p) for probe, p in zip(own, answers, strict=True))
            for own, answers in zip(self._probes, p_true, strict=True)
        ]

    def reward(
        self, prober: Prober, accuracies: Sequence[float], progress: float, silent_share: float
    ) -> list[ScoredRollout]:
        """Ask what has not been answered yet and reward every rollout.

        Args:
            prober: asks the policy.
            accuracies: of each rollout's answer, in [0, 1].
            progress: share of training done, in [0, 1].
            silent_share: see `choose_probed`.
        """
        if self._verdicts is None:
            probed = choose_probed(self._algorithm, accuracies, self._generators, progress, silent_share)
            asked: list[Any] = [own if chosen else () for own, chosen in zip(self._probes, probed, strict=True)]
            self._verdicts = ask_probes(prober, self.rollouts, asked)
        return reward_rollouts(self._algorithm, self.rollouts, accuracies, self._probes, self._verdicts, progress)
