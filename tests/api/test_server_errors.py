from __future__ import annotations

import pytest

from vapo.api.server_errors import ServerError, find_detail, make_status_error


@pytest.mark.parametrize(
    ("status", "body", "may_pass"),
    [
        (401, {}, False),
        (402, {"error": {"message": "no credit"}}, False),
        (404, {}, False),
        (429, {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, True),
        (429, {"error": {"message": "You exceeded your quota.", "code": "insufficient_quota"}}, False),
        (400, {"error": {"message": "the image is too large"}}, True),
        (500, {}, True),
    ],
)
def test_what_may_pass(status, body, may_pass):
    error = make_status_error(status, body, server="http://host", path="/chat/completions", model="m", attempts=1)
    assert error.may_pass == may_pass and error.status == status


def test_no_error_holds_the_key_that_a_server_quotes(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "my-own-secret")
    said = {"error": {"message": "seed: you sent Authorization: Bearer my-own-secret and Basic bXktb3duLXNlY3JldA=="}}
    error = make_status_error(400, said, server="http://host", path="/chat/completions", model="m", attempts=1)
    for text in (str(error), error.detail):
        assert "seed" in text and "secret" not in text and "bXktb3du" not in text
    assert "pw" not in str(ServerError("http://me:pw@host cannot be reached"))


def test_a_redirect_is_told_and_not_followed():
    error = make_status_error(307, {}, server="http://host", path="/chat/completions", model="m", attempts=1)
    assert "redirects /chat/completions (307)" in str(error) and "give the URL" in str(error)


def test_what_an_error_says_may_be_nested_without_end_or_hold_half_characters():
    nested: object = "deep"
    for _ in range(100_000):
        nested = {"error": nested}
    assert find_detail(nested) == "deep"
    listed: list[object] = []
    for _ in range(100_000):
        listed = [listed]
    assert find_detail({"error": listed}) == "lists within lists"
    assert find_detail({"error": "half \ud800"}) == "half ?"
