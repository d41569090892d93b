from __future__ import annotations

import pytest

from vapo.errors import ConfigError
from vapo.verl.sampling_formats import find_sampling_format


@pytest.mark.parametrize(("engine", "mode"), [("vllm", "processed_logprobs"), ("sglang", None)])
def test_shared_parameters_are_copied_and_the_users_bias_is_kept(engine, mode):
    shared = {"temperature": 1.0, "logit_bias": {"5": 1.0}}
    own = find_sampling_format(engine, mode).forbid(shared, [7])
    assert shared == {"temperature": 1.0, "logit_bias": {"5": 1.0}}
    assert own["temperature"] == 1.0 and own["logit_bias"]["5"] == 1.0 and len(own["logit_bias"]) == 2


def test_sglang_is_not_sent_what_it_does_not_know():
    asked = find_sampling_format("sglang", None).ask_for_one_of([3, 5])
    assert "allowed_token_ids" not in asked and asked["logit_bias"].keys() == {"3", "5"}


@pytest.mark.parametrize(
    ("engine", "mode", "message"),
    [
        ("trtllm", None, "rollout.name='trtllm' cannot be asked"),
        ("vllm", "raw_logprobs", "leave it at 'processed_logprobs'"),
    ],
)
def test_what_cannot_be_asked_is_refused(engine, mode, message):
    with pytest.raises(ConfigError, match=message):
        find_sampling_format(engine, mode)
