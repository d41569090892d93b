"""A run that learned nothing does not end as if it had."""

from __future__ import annotations

import pytest
from training.training_world import even_letters

from vapo.training.idle_run import explain_idle_run

IDLE = {"loss": 0.0, "grad_norm": 0.0, "frac_reward_zero_std": 1.0, "rewards/iou/mean": 0.0}


def test_reasons_come_from_the_log():
    said = explain_idle_run([{**IDLE, "completions/clipped_ratio": 1.0}] * 3 + [{"train_loss": 0.0}])
    assert said is not None and "0 in all 3 logged steps" in said and "earned the same (iou was 0 throughout" in said
    assert "all completions were cut off at max_completion_length" in said
    said = explain_idle_run([{**IDLE, "frac_reward_zero_std": 0.5}, {**IDLE, "rewards/iou/mean": 0.5}])
    assert said is not None and "no difference between completions reached the loss. The usual" in said


@pytest.mark.parametrize("history", [[], [{"loss": 0.0}], [IDLE, {**IDLE, "grad_norm": 1e-3}]])
def test_a_run_that_learned_or_does_not_tell_is_passed_over(history):
    assert explain_idle_run(history) is None


def test_it_is_told_at_the_end(make_trainer, caplog):
    def nothing(completions, **_):
        return [0.0] * len(completions)

    make_trainer(reward_funcs=nothing, max_steps=2, beta=0.0).train()
    assert "the run learned nothing" in caplog.text and "nothing was 0 throughout" in caplog.text
    caplog.clear()
    make_trainer(reward_funcs=even_letters, max_steps=2).train()
    assert "learned nothing" not in caplog.text
