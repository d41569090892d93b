"""The generators that anchors and claims are drawn from, seeded by a completion's place in its run.

An engine that says of each completion where in the run it stands draws the same probes as any other engine, and a
resumed run those of the uninterrupted one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from vapo.types import Sample

if TYPE_CHECKING:
    from numpy.random import Generator

    from vapo.algorithms.algorithm import Algorithm

TRAIN_DRAWS, EVAL_DRAWS = 0, 1  # keep generators of training and of evaluation apart


def seed_training_draws(algorithm: Algorithm, seed: int, *, rollout_number: int, group: int, member: int) -> Generator:
    """Return the generator of one completion sampled to be trained on.

    Args:
        algorithm: says whether all members of a group draw alike.
        seed: of the run's probes.
        rollout_number: the place of the completion's batch in the run, from 0.
        group: the place of its prompt in the batch, or in the data.
        member: its own place in the group.
    """
    return _seed(algorithm, [seed, TRAIN_DRAWS, rollout_number, group], member)


def seed_evaluation_draws(algorithm: Algorithm, seed: int, *, step: int, sample: Sample, member: int) -> Generator:
    """Return the generator of one completion sampled to be evaluated.

    Args:
        algorithm, seed, member: as for `seed_training_draws`.
        step: how many steps the policy was trained for.
        sample: what the completion answers; its id tells it from others.
    """
    return _seed(algorithm, [seed, EVAL_DRAWS, step, crc32(sample.id.encode())], member)


def _seed(algorithm: Algorithm, place: list[int], member: int) -> Generator:
    return np.random.default_rng(place if algorithm.needs.shared_draws else [*place, member])
