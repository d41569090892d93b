from __future__ import annotations

import numpy as np
import pytest

from vapo.algorithms.vapo import VAPO
from vapo.probing.draws import seed_evaluation_draws, seed_training_draws
from vapo.types import Sample

ALONE, SHARED = VAPO(), VAPO(anchor_sharing="group")


def train(algorithm=ALONE, seed=7, **place):
    place = {"rollout_number": 2, "group": 1, "member": 3, **place}
    return seed_training_draws(algorithm, seed, **place).random()


def test_a_place_has_one_generator():
    assert train() == train() == np.random.default_rng([7, 0, 2, 1, 3]).random()


@pytest.mark.parametrize("change", [{"seed": 8}, {"rollout_number": 3}, {"group": 2}, {"member": 2}], ids=str)
def test_another_place_has_another(change):
    assert train(**change) != train()


def test_a_group_that_shares_its_probes_draws_alike():
    assert train(SHARED, member=0) == train(SHARED, member=1) != train(SHARED, group=2)


def test_evaluation_draws_by_the_samples_name_and_apart_from_training():
    samples = [Sample(name, (), "?", "1") for name in ("a", "b", "a")]
    drawn = [seed_evaluation_draws(ALONE, 7, step=2, sample=sample, member=3).random() for sample in samples]
    assert drawn[0] == drawn[2] != drawn[1] and train() not in drawn
