from __future__ import annotations

import pytest
from algorithms.token_scores import score_tokens

from vapo.algorithms.algorithm import Needs
from vapo.algorithms.attention_reward import AttentionReward
from vapo.types import Reward


def earn(*pairs):
    return [Reward(accuracy, 0.0, None, 0.0, accuracy, share) for accuracy, share in pairs]


def test_a_response_is_summed_up_by_its_mean():
    scores = score_tokens([0.5] * 3, image_attention=[0.1, 0.2, 0.6])
    assert AttentionReward().summarize(scores) == pytest.approx(0.3)


def test_right_answers_are_compared_with_each_other():
    """Of 0.2, 0.3 and 0.4 the mean is 0.3 and the standard deviation 0.1."""
    group = earn((1, 0.2), (0, 0.9), (1, 0.4), (1, 0.3), (1, None))
    assert AttentionReward(weight=0.5).added_advantages(group, 0.0) == pytest.approx([-0.5, 0, 0.5, 0, 0])


def test_without_a_gate_all_are():
    group = earn((1, 0.2), (0, 0.4), (0.5, 0.3))
    assert AttentionReward(weight=0.5, gate="none").added_advantages(group, 0.0) == pytest.approx([-0.5, 0.5, 0])


def test_tiny_differences_stay_small():
    """They are divided by 0.01, not by their standard deviation of 0.001."""
    group = earn((1, 0.1), (1, 0.102), (1, 0.101))
    assert AttentionReward(weight=1.0).added_advantages(group, 0.0) == pytest.approx([-0.1, 0.1, 0])


def test_asks_for_what_it_uses():
    assert AttentionReward().needs == Needs(advantages=True, summary=True, image_attention="all")
    assert not AttentionReward(gate="none").needs.accuracy
    assert AttentionReward(weight=0.0).needs == Needs(accuracy=False)


@pytest.mark.parametrize(("gate", "right", "wrong"), [("strict", True, False), ("none", True, True)])
def test_the_gate(gate, right, wrong):
    algorithm = AttentionReward(gate=gate)
    assert (algorithm.uses_verdicts(1.0, 0.0), algorithm.uses_verdicts(0.0, 0.0)) == (right, wrong)
    assert not AttentionReward(weight=0.0).uses_verdicts(1.0, 0.0)
