"""What servers send in place of a chat completion raises nothing but a ServerError, and counts as nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vapo.api import responses
from vapo.api.server_errors import ServerError

MALFORMED: list[Any] = [None, "hello", 3, -1.5, True, [], [1], {}, {"content": 3}, "\ud800", float("nan"), 10**400]


def nest(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    return (opening * depth + closing * depth).encode()


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 3}, (7, 3)),
        ({"prompt_tokens": 7.0, "completion_tokens": None}, (7, 0)),
        ({"prompt_tokens": "n/a", "completion_tokens": "3"}, (0, 0)),
        ({"prompt_tokens": -7, "completion_tokens": -(10**9)}, (0, 0)),
        ({"prompt_tokens": float("nan"), "completion_tokens": float("inf")}, (0, 0)),
        ({"prompt_tokens": 10**30, "completion_tokens": 10**400}, (0, 0)),
        ({"prompt_tokens": True, "completion_tokens": {}}, (0, 0)),
        ("none", (0, 0)),
        (None, (0, 0)),
    ],
)
def test_tokens_are_counted_where_they_are_numbers(usage: Any, counted: tuple[int, int]):
    assert responses.count_tokens({"usage": usage}) == counted


@pytest.mark.parametrize(
    ("cost", "read"),
    [(0.25, 0.25), (1, 1.0), (-5, 0.0), ("0.25", 0.0), (float("nan"), 0.0), (float("inf"), 0.0), (10**400, 0.0)],
)
def test_costs_are_read_where_they_are_numbers(cost: Any, read: float):
    assert responses.read_cost({"usage": {"cost": cost}}) == read


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", nest(100_000), nest(100_000, '{"a":', "}"), b"9" * 10_000])
def test_what_is_no_json_is_a_value_error(body: bytes):
    with pytest.raises(ValueError):
        responses.parse_json(body)
    with pytest.raises(ServerError):
        responses.open_completion(body)


def test_half_characters_and_escaped_keys_do_not_come_through(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "my-own-secret")
    body = rb'{"a": "\ud83d\ude00 \ud800", "b": ["\u006dy-own-secret"], "c": "my-own-s\u0065cret"}'
    assert responses.parse_json(body) == {"a": "\N{GRINNING FACE} ?", "b": ["***"], "c": "***"}


@pytest.mark.parametrize("message", MALFORMED)
def test_a_message_that_is_none_holds_no_text(message: Any):
    assert responses.read_content(responses.take_message({"message": message})) == ""


@pytest.mark.parametrize("listed", MALFORMED, ids=lambda value: repr(value)[:20])
def test_lists_that_are_none_hold_nothing(listed: Any):
    assert responses.list_tokens({"logprobs": listed}) == [] == responses.list_tokens({"logprobs": {"content": 3}})
    assert responses.read_logprobs(listed) == [] == responses.read_logprobs([listed])
    assert responses.read_embeddings({"data": listed}) == [] == responses.read_embeddings({"data": [listed]})
    with pytest.raises(ServerError, match=r"0 models \(none\)"):
        responses.choose_model({"data": listed}, None, "http://host")


@pytest.mark.parametrize("listed", [None, "12", 3, {}, [1, "2"], [1.0], [True], [-1], [10**400]])
def test_token_ids_are_whole_numbers(listed: Any):
    with pytest.raises(ServerError, match="token ids under 'token_ids'"):
        responses.read_ids({"token_ids": listed}, "token_ids")
    assert responses.read_ids({"token_ids": [3, 0]}, "token_ids") == (3, 0)


def test_embeddings_are_numbers_of_one_length():
    entries = [{"index": 1, "embedding": [0, 1]}, {"index": 0, "embedding": [1, 0]}, {"embedding": [1]}]
    assert responses.read_embeddings({"data": [*entries, {"embedding": [1, "x"]}]}) == [[1, 0], [0, 1]]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["stop", "yes", '{"claims"']),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
FIELDS = ("choices", "usage", "error", "data", "message", "content", "refusal", "reasoning_content", "finish_reason")
FIELDS += ("logprobs", "top_logprobs", "token", "logprob", "prompt_tokens", "completion_tokens", "cost", "text")
FIELDS += ("token_ids", "index", "embedding", "id", "claims", "is_true", "type", "score", "category", "bytes")
bodies = st.recursive(
    json_values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=24,
)


def read_everything(body: bytes) -> None:
    """Do all that is done with an answer; only ServerError may come of it, and nothing that a store cannot keep."""
    from vapo.claims.audit.questions import read_verdict
    from vapo.claims.making.response_parser import parse_response
    from vapo.serving.judge.answer_score import read_score
    from vapo.serving.judge.error_category import read_category

    for claim in parse_response(body).claims:
        claim.text.encode()
    _, p_yes = read_verdict(body)
    assert p_yes is None or 0 <= p_yes <= 1
    text = body.decode("utf-8", "replace")
    assert read_score(text) is None or 0 <= (read_score(text) or 0.0) <= 1
    read_category(text)
    try:
        choice = responses.open_completion(body)
        reply = responses.parse_json(body)
    except ServerError:
        return
    responses.read_finish_reason(choice).encode()
    assert all(0 <= count <= responses.MAX_TOKENS for count in responses.count_tokens(reply))
    assert 0 <= responses.read_cost(reply) <= responses.MAX_USD
    responses.read_embeddings(reply)
    for entry in responses.list_tokens(choice):
        responses.read_logprobs(entry.get("top_logprobs"))


def wrap(value: Any) -> bytes:
    return json.dumps({"choices": [value], "usage": value}).encode()


REPLY: Any = {
    "choices": [
        {
            "message": {
                "content": json.dumps({"claims": [{"text": "A cat sits.", "is_true": True}]}),
                "refusal": None,
            },
            "finish_reason": "stop",
            "logprobs": {"content": [{"token": "yes", "top_logprobs": [{"token": "no", "logprob": -1.0}]}]},
        }
    ],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3, "cost": 0.1},
}


def list_places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(found for key, one in inner for found in list_places(one, (*place, key)))]


def mutate(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = mutate(value[place[0]], place[1:], new)
    return copy


changes_of_a_reply = st.lists(
    st.tuples(st.integers(0, 99), bodies | st.sampled_from(MALFORMED)), min_size=1, max_size=3
)


def read_changed(changes: list[tuple[int, Any]]) -> None:
    reply = REPLY
    for number, new in changes:
        places = list_places(reply)
        reply = mutate(reply, places[number % len(places)], new)
    body = json.dumps(reply).encode()
    read_everything(body)
    read_everything(body[: len(body) * 2 // 3])


@given(changes_of_a_reply)
@settings(max_examples=100, deadline=None)
def test_replies_with_parts_of_another_kind_are_read(changes: list[tuple[int, Any]]):
    read_changed(changes)


@pytest.mark.slow
@given(changes_of_a_reply)
@settings(max_examples=5_000, deadline=None)
def test_replies_with_parts_of_another_kind_are_read_five_thousand_times(changes: list[tuple[int, Any]]):
    read_changed(changes)


@given(bodies, st.booleans())
@settings(max_examples=60, deadline=None)
def test_whatever_is_sent_is_read(value: Any, wrapped: bool):
    read_everything(wrap(value) if wrapped else json.dumps(value).encode())


@pytest.mark.slow
@given(bodies | st.binary(max_size=200) | st.text(), st.integers(0, 2))
@settings(max_examples=3_000, deadline=None)
def test_whatever_is_sent_is_read_three_thousand_times(value: Any, form: int):
    if isinstance(value, bytes):
        read_everything(value)
    elif form == 0:
        read_everything(json.dumps(value).encode())
    elif form == 1:
        read_everything(wrap(value))
    else:  # as the text of an answer, cut off anywhere
        text = json.dumps(value)
        read_everything(wrap({"message": {"content": text[: len(text) * 2 // 3]}, "finish_reason": value}))
