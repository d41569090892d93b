from __future__ import annotations

import pytest

from vapo.api.refusals import tell_status


@pytest.mark.parametrize(
    ("status", "body", "may_pass"),
    [
        (401, {}, False),
        (402, {"error": {"message": "no credit"}}, False),
        (404, {}, False),
        (429, {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, True),
        (429, {"error": {"message": "You exceeded your quota.", "code": "insufficient_quota"}}, False),
        (400, {"error": {"message": "the picture is too large"}}, True),
        (500, {}, True),
    ],
)
def test_what_may_pass(status, body, may_pass):
    error = tell_status(status, body, server="http://host", path="/chat/completions", model="m", attempts=1)
    assert error.may_pass == may_pass and error.status == status
