"""What is measured of one seed: responses to training questions, their gradients, and what perception says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vapo.algorithms.vapo import VAPO
from vapo.atomic_files import atomic_file
from vapo.core.grading import grade_format, grade_sample
from vapo.lab.processes.side_by_side import Progress
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.generation import sample_completions
from vapo.probing.transformers_prober import TransformersProber
from vapo.types import Rollout, Sample

from .gradients import multiply_gradients

WAYS: Mapping[str, VAPO] = {
    "hard, 20 probes": VAPO(claim_draws="uniform"),
    "hard, 8 probes": VAPO(claim_draws="uniform", num_anchors=8),
    "soft, 20 probes": VAPO(claim_draws="uniform", verdict="soft"),
    "soft, 8 probes": VAPO(claim_draws="uniform", verdict="soft", num_anchors=8),
    "soft, 20 probes, shared by the group": VAPO(claim_draws="uniform", verdict="soft", anchor_sharing="group"),
}
"""Ways to draw probes and to judge them; claims are drawn as in the paper."""

PAPER = "hard, 20 probes"
"""The paper's way."""

_ARRAYS = ("accuracies", "formats", "lengths", "products")
_DRAWS, _CHOICE = 34, 35  # keep these generators apart from others with the same seed


@dataclass(frozen=True, slots=True)
class Measured:
    """One seed's groups of responses; N responses, those of a group next to each other.

    Attributes:
        group_size: responses to a question.
        accuracies: (N,), 1 for a right answer.
        formats: (N,), 1 for the asked form.
        lengths: (N,), tokens of each response.
        products: (N, N), inner products of the responses' gradients.
        perceptions: by way, (draws, N): perception rewards; NaN where a response has no boundary.
    """

    group_size: int
    accuracies: NDArray[np.float64]
    formats: NDArray[np.float64]
    lengths: NDArray[np.float64]
    products: NDArray[np.float64]
    perceptions: Mapping[str, NDArray[np.float64]]

    def save(self, path: Path) -> None:
        """Write all of it to a file, whole or not at all."""
        arrays: dict[str, Any] = {name: getattr(self, name) for name in _ARRAYS}
        with atomic_file(path) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, **{**arrays, **self.perceptions, "group_size": np.array(self.group_size)})

    @classmethod
    def load(cls, path: Path) -> Measured:
        """Read what `save` wrote."""
        with np.load(path) as held:
            arrays = {name: held[name] for name in _ARRAYS}
            return cls(int(held["group_size"]), **arrays, perceptions={way: held[way] for way in WAYS})


def measure(
    policy: Policy,
    samples: Sequence[Sample],
    *,
    seed: int,
    max_completion_tokens: int,
    num_questions: int = 72,
    group_size: int = 8,
    draws: int = 6,
    on_progress: Progress = lambda what: lambda done, total: None,
) -> Measured:
    """Sample groups of responses, and measure them.

    Args:
        policy: samples, answers probes and is differentiated.
        samples: questions with claims, from which `num_questions` are drawn.
        seed: of questions, responses and probes.
        max_completion_tokens: longest response.
        num_questions: groups.
        group_size: responses of each.
        draws: of probes for every response, in every way.
        on_progress: called with a stage; returns what is called with (done, in all).
    """
    chosen = np.random.default_rng([_CHOICE, seed]).choice(len(samples), size=num_questions, replace=False)
    rollouts: list[Rollout] = []
    report = on_progress("responses")
    for own in sample_completions(
        policy,
        [samples[int(number)] for number in chosen],
        max_completion_tokens=max_completion_tokens,
        num_completions=group_size,
        seed=seed,
        batch_size=group_size,
    ):
        rollouts += own
        report(len(rollouts), num_questions * group_size)
    report = on_progress("probes")
    prober = TransformersProber(policy.model, policy.processor)
    perceptions = {way: np.full((draws, len(rollouts)), np.nan) for way in WAYS}
    for start in range(0, len(rollouts), group_size):
        for way, algorithm in WAYS.items():
            if algorithm.verdict == "hard" or algorithm.anchor_sharing == "group":
                both = _ask(prober, algorithm, rollouts[start : start + group_size], draws, [_DRAWS, seed, start])
                for judged, found in zip(("hard", "soft"), both, strict=True):
                    name = way.replace("hard", judged)
                    if name in perceptions:
                        perceptions[name][:, start : start + group_size] = found
        report(start + group_size, len(rollouts))
    return Measured(
        group_size,
        np.array([grade_sample(one.text, one.sample) for one in rollouts], dtype=np.float64),
        np.array([grade_format(one.text) for one in rollouts], dtype=np.float64),
        np.array([len(one.completion_ids) for one in rollouts], dtype=np.float64),
        multiply_gradients(policy, rollouts, on_progress("gradients")),
        perceptions,
    )


def _ask(
    prober: TransformersProber, algorithm: VAPO, group: Sequence[Rollout], draws: int, place: list[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return perception rewards by hard and by soft verdicts on the same probes, each (draws, responses)."""
    judges = (replace(algorithm, verdict="hard"), replace(algorithm, verdict="soft"))
    own_seed = [algorithm.num_anchors, int(algorithm.needs.shared_draws)]
    drawn = [
        [
            algorithm.probes(
                rollout,
                np.random.default_rng([*place, *own_seed, draw, 0 if algorithm.needs.shared_draws else member]),
            )
            for member, rollout in enumerate(group)
        ]
        for draw in range(draws)
    ]
    verdicts = iter(prober.score([probe for row in drawn for own in row for probe in own]))
    found = np.full((2, draws, len(group)), np.nan)
    for draw, row in enumerate(drawn):
        for member, own in enumerate(row):
            answers = [next(verdicts) for _ in own]
            for number, judge in enumerate(judges):
                perception = judge.reward(1.0, 1.0, answers, 0.0).perception
                found[number, draw, member] = np.nan if perception is None else perception
    return found[0], found[1]
