from __future__ import annotations

from dataclasses import replace
from math import log

import pytest
import torch
from algorithms.token_scores import score_tokens

from vapo.algorithms.vppo import VPPO

P = [0.5, 0.25, 0.5, 0.5, 0.5]
Q = [0.25, 0.5, 0.5, 0.4, 0.6]  # k3 is 0.193, 0.307, 0, 0.023, 0.018


@pytest.mark.parametrize(
    ("share", "kept"), [(0.4, [1, 1, 0, 0, 0]), (0.41, [1, 1, 0, 1, 0]), (0.0, [0] * 5), (1.0, [1] * 5)]
)
def test_the_most_dependent_tokens_are_kept(share, kept):
    weights = VPPO(kept_tokens=share).token_weights(score_tokens(P, Q))
    assert weights.tolist() == kept and not weights.requires_grad


def test_all_are_kept_where_none_depends_on_an_image():
    assert VPPO().token_weights(score_tokens(P, P)).tolist() == [1] * 5


def test_a_response_is_summed_up_by_its_mean():
    expected = ((0.5 + log(2) - 1) + (2 - log(2) - 1)) / 2
    assert VPPO().summarize(score_tokens([0.5, 0.25], [0.25, 0.5])) == pytest.approx(expected)


def test_factors_of_responses():
    """s^ = 0, 1/2, 1, 1/2 with the mean 1/2, so b_max = 0.9 + 0.1 / 0.5 = 1.1."""
    weights = VPPO().response_weights([[0.1, 0.2], [0.3, 0.2]])
    assert weights == [pytest.approx([0.9, 1.0]), pytest.approx([1.1, 1.0])]


def test_groups_without_a_counted_response():
    assert VPPO().response_weights([[], [0.5], []]) == [[], [1.0], []]
    assert VPPO().response_weights([[], []]) == [[], []]


def test_each_response_has_a_view_of_its_own():
    view = VPPO().needs.second_view
    assert (view.strength, view.per_response) == (0.5, True)


def test_divergence_over_the_vocabulary_takes_the_place_of_k3():
    scores = replace(score_tokens(P, Q), divergence=torch.tensor([0.0, 0.1, 0.4, 0.3, 0.2]))
    vppo = VPPO(dependence="vocabulary")
    assert vppo.token_weights(scores).tolist() == [0, 0, 1, 1, 0] and vppo.needs.divergence
    assert vppo.summarize(scores) == pytest.approx(0.2) and not VPPO().needs.divergence


def test_no_gradient_flows():
    scores = score_tokens(P, Q)
    assert not torch.is_tensor(VPPO().summarize(scores)) and scores.log_probs.requires_grad
