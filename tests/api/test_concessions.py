from __future__ import annotations

import pytest

from vapo.api.concessions import find_refused, leave_out
from vapo.api.refusals import ServerError


@pytest.mark.parametrize(
    ("status", "detail", "left_out", "found"),
    [
        (400, "response_format and seed are not supported", (), {"response_format", "seed"}),
        (422, "seed: extra field", ("seed",), set()),
        (400, "the picture is too large", (), set()),
        (500, "seed", (), set()),
        (400, "max_tokens=4096 cannot be greater than max_model_len=2048", (), {"max_tokens"}),
        (400, "This model's maximum context length is 8192 tokens. However, you requested 9000", (), {"max_tokens"}),
        (400, "the maximum context length is 8192 tokens, and the prompt has 9000", ("max_tokens",), set()),
    ],
)
def test_what_a_refusal_names_can_be_left_out_once(status, detail, left_out, found):
    assert find_refused(ServerError("no", status, detail), left_out) == found


def test_the_longest_answer_keeps_its_older_name():
    body = {"model": "m", "seed": 1, "max_completion_tokens": 5}
    assert leave_out(body, ["seed"]) == {"model": "m", "max_completion_tokens": 5}
    assert leave_out(body, ["seed", "max_completion_tokens"]) == {"model": "m", "max_tokens": 5}
    assert leave_out({"model": "m"}, ["max_completion_tokens"]) == {"model": "m"}


def test_an_answer_without_room_has_no_limit():
    for body in ({"model": "m", "max_completion_tokens": 5}, {"model": "m", "max_tokens": 5}):
        assert leave_out(body, ["max_tokens"]) == {"model": "m"}
        assert leave_out(body, ["max_tokens", "max_completion_tokens"]) == {"model": "m"}
