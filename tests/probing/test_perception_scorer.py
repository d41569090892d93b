from __future__ import annotations

import numpy as np

from vapo.algorithms.vapo import VAPO
from vapo.probing.perception_scorer import choose_probed


def choose(accuracies, closed_gate_probe_share, algorithm=VAPO()):
    generators = [np.random.default_rng(seed) for seed in range(len(accuracies))]
    return choose_probed(algorithm, accuracies, generators, 0.0, closed_gate_probe_share)


def test_right_answers_are_always_asked_and_wrong_ones_by_their_share():
    accuracies = [1.0, 0.0] * 1000
    heard = choose(accuracies, 0.25)
    assert all(heard[::2])
    assert 200 < sum(heard[1::2]) < 300


def test_all_or_none_of_them():
    assert choose([0.0] * 50, 1.0) == [True] * 50
    assert choose([0.0] * 50, 0.0) == [False] * 50


def test_with_an_open_gate_all_are_probed():
    assert choose([0.0] * 50, 0.0, VAPO(accuracy_gate="none")) == [True] * 50
