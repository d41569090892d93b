"""How much of the perception reward is noise: the same responses, asked again and again (see `variance`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from vapo.algorithms.vapo import VAPO
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.generation import sample_completions
from vapo.probing.transformers_prober import TransformersProber
from vapo.types import Rollout, Sample

from .variance import Spread, decompose

WAYS = tuple(product(("independent", "group"), ("hard", "soft")))
"""Sharing of draws, and verdicts."""

_NOISE_DRAWS = 32  # keeps these generators apart from others with the same seed


def measure_noise(
    policy: Policy,
    samples: Sequence[Sample],
    *,
    max_completion_tokens: int,
    group_size: int = 8,
    num_anchors: int = 20,
    draws: int = 8,
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[tuple[str, str], Spread]:
    """Return the spread of the perception reward for every way to share draws and to judge.

    Args:
        policy: samples the responses and answers the probes.
        samples: one group of responses each.
        max_completion_tokens: longest response.
        group_size: responses per question, at least 2.
        num_anchors: probes per response and draw; equal for all ways.
        draws: of anchors and claims, at least 2.
        seed: of responses and draws.
        on_progress: called with (questions done, questions in all).
    """
    prober = TransformersProber(policy.model, policy.processor)
    rewards: dict[tuple[str, str], list[NDArray[np.float64]]] = {way: [] for way in WAYS}
    groups = sample_completions(
        policy,
        samples,
        max_completion_tokens=max_completion_tokens,
        num_completions=group_size,
        seed=seed,
        batch_size=group_size,
    )
    for number, responses in enumerate(groups):
        for sharing in ("independent", "group"):
            hard, soft = _ask(prober, responses, sharing, num_anchors, draws, [_NOISE_DRAWS, seed, number])
            rewards[sharing, "hard"].append(hard)
            rewards[sharing, "soft"].append(soft)
        on_progress(number + 1, len(samples))
    return {way: decompose(np.stack(own)) for way, own in rewards.items()}


def _ask(
    prober: TransformersProber,
    responses: Sequence[Rollout],
    sharing: str,
    num_anchors: int,
    draws: int,
    place: list[int],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rewards by hard and by soft verdicts, each (responses, draws)."""
    hard = VAPO(num_anchors=num_anchors, anchor_sharing="group" if sharing == "group" else "independent")
    soft = replace(hard, verdict="soft")
    probes = [
        [
            hard.probes(
                response, np.random.default_rng([*place, draw, *([] if hard.needs.shared_draws else [member])])
            )
            for draw in range(draws)
        ]
        for member, response in enumerate(responses)
    ]
    verdicts = iter(prober.score([probe for own in probes for drawn in own for probe in drawn]))
    found = np.zeros((2, len(responses), draws))
    for member, own in enumerate(probes):
        for draw, drawn in enumerate(own):
            answered = [next(verdicts) for _ in drawn]
            for way, algorithm in enumerate((hard, soft)):
                # A response without a boundary is not probed, and earns nothing.
                found[way, member, draw] = algorithm.reward(1.0, 1.0, answered, 0.0).perception or 0.0
    return found[0], found[1]
