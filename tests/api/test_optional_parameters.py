from __future__ import annotations

import pytest

from vapo.api.optional_parameters import drop_parameters, find_rejected_parameters
from vapo.api.server_errors import ServerError


@pytest.mark.parametrize(
    ("status", "detail", "dropped", "found"),
    [
        (400, "response_format and seed are not supported", (), {"response_format", "seed"}),
        (422, "seed: extra field", ("seed",), set()),
        (400, "the image is too large", (), set()),
        (500, "seed", (), set()),
        (400, "max_tokens=4096 cannot be greater than max_model_len=2048", (), {"max_tokens"}),
        (400, "This model's maximum context length is 8192 tokens. However, you requested 9000", (), {"max_tokens"}),
        (400, "the maximum context length is 8192 tokens, and the prompt has 9000", ("max_tokens",), set()),
    ],
)
def test_a_rejected_parameter_is_dropped_once(status, detail, dropped, found):
    assert find_rejected_parameters(ServerError("no", status, detail), dropped) == found


def test_the_longest_answer_keeps_its_older_name():
    body = {"model": "m", "seed": 1, "max_completion_tokens": 5}
    assert drop_parameters(body, ["seed"]) == {"model": "m", "max_completion_tokens": 5}
    assert drop_parameters(body, ["seed", "max_completion_tokens"]) == {"model": "m", "max_tokens": 5}
    assert drop_parameters({"model": "m"}, ["max_completion_tokens"]) == {"model": "m"}


def test_an_answer_without_room_has_no_limit():
    for body in ({"model": "m", "max_completion_tokens": 5}, {"model": "m", "max_tokens": 5}):
        assert drop_parameters(body, ["max_tokens"]) == {"model": "m"}
        assert drop_parameters(body, ["max_tokens", "max_completion_tokens"]) == {"model": "m"}
