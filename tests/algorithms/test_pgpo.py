from __future__ import annotations

import pytest
import torch
from algorithms.token_scores import score_tokens

from vapo.algorithms import pgpo
from vapo.algorithms.pgpo import PGPO
from vapo.errors import ConfigError

SCORES = score_tokens([0.5] * 4, [0.5] * 4)


@pytest.fixture
def dependent(monkeypatch):
    """Four tokens whose log(1 + k3) is 0, 0.2, 0.7 and 1."""
    values = torch.tensor([0.0, 0.2, 0.7, 1.0]).expm1()
    monkeypatch.setattr(pgpo, "estimate_dependence", lambda *_: values)


@pytest.mark.usefixtures("dependent")
def test_weights_by_hand():
    """w = 0, 0.2 / 0.4, 1 + 2 * 0.3 / 0.6 and 1 + 2: 0, 0.5, 2, 3, whose sum 5.5 becomes 4."""
    weights = PGPO().token_weights(SCORES)
    torch.testing.assert_close(weights, torch.tensor([0.0, 0.5, 2.0, 3.0]) * 4 / 5.5)
    torch.testing.assert_close(weights.sum(), torch.tensor(4.0))


@pytest.mark.usefixtures("dependent")
def test_half_the_strength_is_half_the_way():
    full, half = (PGPO(strength=strength).token_weights(SCORES) for strength in (1.0, 0.5))
    torch.testing.assert_close(half - 1, (full - 1) / 2)


def test_tokens_that_depend_alike_weigh_alike():
    assert PGPO().token_weights(SCORES).tolist() == [1.0] * 4


def test_dependence_is_that_of_both_views():
    weights = PGPO(threshold=0.5, boost=1.0).token_weights(score_tokens([0.5, 0.5], [0.5, 0.25]))
    assert weights.tolist() == pytest.approx([0.0, 2.0])  # w = 0 and 2, whose sum is 2 already
    assert not weights.requires_grad


@pytest.mark.parametrize("threshold", [0.0, 1.0, -1, 2, float("nan")])
def test_a_threshold_out_of_range(threshold):
    with pytest.raises(ConfigError, match="threshold must be above 0 and below 1, but is"):
        PGPO(threshold=threshold)
