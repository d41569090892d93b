from __future__ import annotations

import json
from math import inf, log

import pytest

from vapo.export.agreement import compare_answers, read_agreement, to_plain
from vapo.models.policy.answers import Answer
from vapo.types import Rollout, Sample

SAMPLE = Sample("q", (), "?", "")
RIVALS = {1: log(0.5), 2: log(0.48), 3: log(0.02)}


def response(*ids: int, prompt: tuple[int, ...] = (9,)) -> Rollout:
    return Rollout(SAMPLE, prompt, ids, ("x",) * len(ids))


def compare(theirs: Rollout, logprobs=None, dtype: str = "bfloat16"):
    answer = Answer(response(1, 1, 1), (log(0.5),) * 3, (RIVALS,) * 3)
    return compare_answers([answer], [theirs], logprobs, copy="vLLM", dtype=dtype)


def test_the_same_tokens_agree():
    found = compare(response(1, 1, 1), [[log(0.5), log(0.5), log(0.5) + 0.03]])
    assert (found.same_tokens, found.worst_tie, found.num_tokens) == (3, 0, 3)
    assert found.mean_difference == pytest.approx(0.01) and found.holds


def test_behind_a_tie_nothing_is_compared():
    """0.5 against 0.48 is log(0.5 / 0.48) = 0.041 nats: a tie in 16 bits, a difference in 32."""
    found = compare(response(1, 2, 3))
    assert found.same_tokens == 1 and found.worst_tie == pytest.approx(0.0408, abs=1e-4) and found.holds
    assert not compare(response(1, 2, 3), dtype="float32").holds


def test_another_token_is_no_tie():
    found = compare(response(1, 3, 1))
    assert found.worst_tie == pytest.approx(log(0.5 / 0.02)) and not found.holds
    unknown = compare(response(7, 1, 1))  # as unlikely, at least, as the last one that is known
    assert unknown.worst_tie == found.worst_tie


@pytest.mark.parametrize("ids", [(1, 1), (1, 1, 1, 1), ()])
def test_one_that_ends_elsewhere_is_no_tie(ids):
    assert compare(response(*ids)).worst_tie == inf


def test_other_log_probabilities_do_not_agree():
    assert not compare(response(1, 1, 1), [[log(0.5) - 0.2] * 3]).holds


def test_another_prompt_does_not_agree():
    found = compare(response(1, 1, 1, prompt=(9, 9)))
    assert found.other_prompts == 1 and not found.holds and "1 questions were read otherwise" in str(found)


def test_it_is_kept_as_json():
    found = compare(response(1, 2, 3), [[0.0] * 3])
    assert read_agreement(json.loads(json.dumps(to_plain(found)))) == found
