"""Weights of tokens by the verdicts along their response, worked by hand."""

from __future__ import annotations

import pytest
from algorithms.test_contract import make_rollout

from vapo.algorithms.vapo_tokens import VAPOTokens
from vapo.types import Anchor, Claim, Probe, Verdict


def judge_at(*verdicts, length=10):
    """Return verdicts on a true claim, given as (anchor, P(yes))."""
    rollout = make_rollout(length)
    claim = Claim("It is.", True)
    return [Verdict(Probe(rollout, Anchor(index, index / length), claim), p_true) for index, p_true in verdicts]


def test_credit_lies_where_the_policy_saw():
    # Segments of 4 and 2 tokens with hits 1 and 0: mean 2/3, so +1/3 and -2/3; 4 tokens follow the last anchor.
    weights = VAPOTokens().verdict_weights(judge_at((4, 0.9), (6, 0.2)), 10, 1.5)
    assert weights == pytest.approx([4 / 3] * 4 + [1 / 3] * 2 + [1] * 4)


def test_blame_lies_where_it_did_not():
    weights = VAPOTokens().verdict_weights(judge_at((4, 0.9), (6, 0.2)), 10, -0.5)
    assert weights == pytest.approx([2 / 3] * 4 + [5 / 3] * 2 + [1] * 4)


def test_soft_verdicts_at_one_anchor_are_averaged():
    # Hits 0.8 and 0.6 at token 2, mean 0.7; 0.1 at token 4: mean over the four tokens 0.4; half of it is done.
    verdicts = judge_at((4, 0.1), (2, 0.8), (2, 0.6), length=5)
    weights = VAPOTokens(verdict="soft", strength=0.5).verdict_weights(verdicts, 5, 1.0)
    assert weights == pytest.approx([1.15, 1.15, 0.85, 0.85, 1.0])


@pytest.mark.parametrize("advantage", [2.0, -2.0])
def test_their_sum_is_the_length(advantage):
    verdicts = judge_at((3, 0.3), (4, 0.8), (9, 0.55), (10, 0.1))
    weights = VAPOTokens(verdict="soft").verdict_weights(verdicts, 10, advantage)
    assert sum(weights) == pytest.approx(10) and min(weights) >= 0 and max(weights) <= 2


def test_says_nothing_where_nothing_was_asked_or_nothing_is_to_be_weighed():
    assert VAPOTokens().verdict_weights([], 10, 1.0) is None
    assert VAPOTokens().verdict_weights(judge_at((4, 0.9)), 10, 0.0) is None
    assert VAPOTokens(num_anchors=0).verdict_weights(judge_at((4, 0.9)), 10, 1.0) is None


def test_asks_along_wrong_responses_too_but_not_where_it_weighs_nothing():
    assert VAPOTokens(perception_weight=0.0).uses_verdicts(0.0, 0.5)
    assert not VAPOTokens(strength=0.0).uses_verdicts(0.0, 0.5) and VAPOTokens(strength=0.0).uses_verdicts(1.0, 0.5)
