from __future__ import annotations

from dataclasses import replace
from math import log

import pytest
import torch
from algorithms.token_scores import score_tokens

from vapo.algorithms.algorithm import SecondView
from vapo.algorithms.papo import PAPO
from vapo.errors import ModelError

SCORES = score_tokens([0.5, 0.25, 0.5], [0.25, 0.5, 0.5])
K3 = [0.5 + log(2) - 1, 2 - log(2) - 1, 0.0]


def test_divergence_is_sought():
    loss = PAPO(gamma=0.1, eta=0.0).token_loss(SCORES)
    torch.testing.assert_close(loss, torch.tensor([-0.1 * value for value in K3]))


def test_entropies_of_both_views_are_avoided():
    loss = PAPO(gamma=0.0, eta=0.5).token_loss(SCORES)
    torch.testing.assert_close(loss, torch.tensor([0.1, 0.3, 0.5]))  # 0.5 * (H + H), with H = 0.1, 0.3, 0.5


def test_the_gradient_of_both_views():
    """d k3 / d log p = 1 - q / p, and d k3 / d log q = q / p - 1."""
    scores = score_tokens([0.5, 0.25], [0.25, 0.5])
    PAPO(gamma=1.0, eta=0.0).token_loss(scores).sum().backward()
    torch.testing.assert_close(scores.log_probs.grad, torch.tensor([-0.5, 1.0]))
    torch.testing.assert_close(scores.second.log_probs.grad, torch.tensor([0.5, -1.0]))


def test_the_published_code_lets_none_through_the_second():
    scores = score_tokens([0.5, 0.25], [0.25, 0.5])
    PAPO(gamma=1.0, second_gradient=False).token_loss(scores).sum().backward()
    assert scores.log_probs.grad.any() and scores.second.log_probs.grad is None


def test_asks_for_the_patches_it_is_told():
    view = PAPO(view_strength=0.3, patch_pixels=28).needs.second_view
    assert view == SecondView("patches", 0.3, 28, per_response=False)
    assert PAPO(view="blur").needs.second_view.kind == "blur"


def test_a_model_without_entropies():
    bare = replace(SCORES, entropies=None)
    with pytest.raises(ModelError, match="no entropies of its tokens, which PAPO needs; set eta to 0"):
        PAPO().token_loss(bare)
    assert PAPO(eta=0.0).token_loss(bare).shape == (3,)
