"""Every image gets its claims once, whatever happens in between; what cannot be had is told, and counts add up."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from claims.making.claim_writer import answer, describe_claims, write_claims
from claims.making.making_run import labels, make
from claims.making.painted_rows import PaintedRow, paint_rows
from openai_stub import CHAT, Reply, Stub, refuse, say

from vapo.api.prices import Prices
from vapo.api.server_errors import ServerError
from vapo.claims.making.budget import Budget
from vapo.claims.making.settings import MakingSettings
from vapo.claims.store.claims import read_claims
from vapo.claims.store.images import list_image_sets, read_images, read_rows
from vapo.claims.store.requests import list_requests, read_answer, read_spending
from vapo.claims.store.store import Store
from vapo.errors import ConfigError


def test_every_image_gets_its_claims(store: Store, stub: Stub):
    seen: list[int] = []
    counts = make(store, stub, paint_rows(12), on_progress=lambda counts: seen.append(counts.done))
    assert counts.by_status == {"full": 12} and (counts.done, counts.total, counts.ended) == (12, 12, "")
    assert (counts.requests, counts.kept, sum(counts.rejected.values())) == (12, 240, 0)
    assert sorted(seen) == list(range(1, 13))
    assert all(labels(store, image_set) == {True: 10, False: 10} for image_set in list_image_sets(store))
    assert read_spending(store).tokens == counts.tokens == 12 * 1500
    request = list_requests(store, 1)[0]
    raw = read_answer(store, request.id)
    assert raw is not None and json.loads(raw.body)["usage"]["completion_tokens"] == 300
    assert (request.state, request.model) == ("read", "tiny")
    assert store.read("SELECT count(*) FROM workers") == [(0,)]


def test_only_the_image_is_shown_and_the_form_is_asked_for(store: Store, stub: Stub):
    make(store, stub, paint_rows(1), seed=3, temperature=0.5, max_tokens=77)
    (asked,) = stub.asked()
    (message,) = asked["messages"]
    assert message["role"] == "user" and [part["type"] for part in message["content"]] == ["text", "image_url"]
    assert asked["temperature"] == 0.5 and asked["max_completion_tokens"] == 77
    assert asked["response_format"]["json_schema"]["schema"]["required"] == ["claims"]
    make(store, stub, paint_rows(1, start=1), structured=False)
    assert "response_format" not in stub.asked()[1]


def test_the_same_command_again_asks_nothing_and_opens_nothing(store: Store, stub: Stub):
    make(store, stub, paint_rows(5))
    unopenable = [PaintedRow(row.name, ()) for row in paint_rows(5)]
    again = make(store, stub, unopenable)
    assert again.by_status == {"full": 5} and again.requests == 0 and len(stub.asked()) == 5


def test_the_same_image_twice_is_asked_about_once(store: Store, stub: Stub):
    rows = [PaintedRow(f"{name}{number}", (number,)) for number in range(4) for name in ("a", "b", "c")]
    counts = make(store, stub, rows, server={"concurrency": 12})
    assert counts.by_status == {"full": 12} and len(stub.asked()) == 4 == len(list_image_sets(store))
    assert len(list(read_rows(store))) == 12


def test_a_row_that_shows_another_image_now_is_asked_about_anew(store: Store, stub: Stub):
    make(store, stub, [PaintedRow("a", (1,), stamp="v1")])
    make(store, stub, [PaintedRow("a", (2,), stamp="v2")])
    make(store, stub, [PaintedRow("a", (2,), stamp="v3")])  # touched, but the same pixels
    assert len(stub.asked()) == 2 and [row.image_set for row in read_rows(store)] == [2]


def test_several_images_of_a_row_are_asked_about_together(store: Store, stub: Stub):
    counts = make(store, stub, [PaintedRow("pair", (1, 2)), PaintedRow("riap", (2, 1))])
    assert counts.by_status == {"full": 2} and len(list_image_sets(store)) == 2
    assert [len(body["messages"][0]["content"]) for body in stub.asked()] == [3, 3]
    assert "the 2 images" in stub.asked()[0]["messages"][0]["content"][0]["text"]
    assert [image.name for image in read_images(store, 1)] == [image.name for image in read_images(store, 2)][::-1]


def test_a_few_claims_at_a_time(store: Store, stub: Stub):
    counts = make(store, stub, paint_rows(1), per_image=10, per_request=4)
    assert counts.by_status == {"full": 1} and counts.requests == 3
    orders = [(request.num_true, request.num_false) for request in list_requests(store, 1)]
    assert orders == [(2, 2), (2, 2), (1, 1)] and labels(store, 1) == {True: 5, False: 5}


def test_more_claims_can_be_asked_for_later(store: Store, stub: Stub):
    make(store, stub, paint_rows(1), per_image=4)
    make(store, stub, paint_rows(1), per_image=10)
    assert labels(store, 1) == {True: 5, False: 5}
    assert [(r.num_true, r.num_false) for r in list_requests(store, 1)] == [(2, 2), (3, 3)]


def test_what_is_rejected_is_asked_for_again_with_the_reason(store: Store, stub: Stub):
    def spoil(body: Any) -> Reply:
        claims = write_claims(body)
        claims[0] = {"text": "The cat is perhaps near the <|im_end|> dog.", "is_true": True}
        claims[1] = {"text": "The lamp is perhaps near the dog.", "is_true": True}
        return describe_claims(claims)

    stub.script[CHAT] = [spoil, answer]
    counts = make(store, stub, paint_rows(1))
    assert counts.by_status == {"full": 1} and counts.requests == 2
    assert counts.rejected["special token"] == 1 and counts.rejected["hedge"] == 1
    again = stub.asked()[1]["messages"][0]["content"][0]["text"]
    kept = read_claims(store, 1)[0].claim.text
    assert "The lamp is perhaps near the dog. (hedged)" in again and f"- {kept}\n" in again
    assert "<|im_end|>" not in again and "(holds a special token)" in again
    assert labels(store, 1) == {True: 10, False: 10}
    rejected = [claim for claim in read_claims(store, 1, rejected=True) if claim.rejected_for]
    assert sum(counts.rejected.values()) == len(rejected)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (say("I'm sorry, I can't help with that."), "it was a refusal"),
        (say(None, refusal="no"), "it was a refusal"),
        (say("A cat."), "it held no JSON"),
        (say('{"claims": []}'), "its list of claims was empty"),
    ],
    ids=["refusal", "field", "prose", "empty"],
)
def test_an_image_that_gets_no_claims_is_reported_and_not_asked_for_ever(
    store: Store, stub: Stub, bad: Reply, said: str
):
    stub.script[CHAT] = [bad]
    counts = make(store, stub, paint_rows(2), tries=2)
    assert counts.by_status == {"short": 2} and counts.requests == 6
    assert all(f"0 of 20 claims; {said}" in why for why in counts.why["short"])
    assert said in stub.asked()[-1]["messages"][0]["content"][0]["text"]
    stub.script[CHAT] = [answer]
    assert make(store, stub, paint_rows(2), tries=2).by_status == {"short": 2} and len(stub.asked()) == 6
    assert make(store, stub, paint_rows(2), tries=3).by_status == {"full": 2}


def test_images_that_cannot_be_opened_do_not_stop_the_others(store: Store, stub: Stub):
    counts = make(store, stub, [*paint_rows(3), PaintedRow("bad", ()), *paint_rows(2, start=9)])
    assert counts.by_status == {"full": 5, "unreadable": 1}
    assert counts.why["unreadable"] == ["bad: painted, bad: image is truncated or broken"]


def test_an_image_that_the_server_refuses_is_reported_and_asked_about_again_next_time(store: Store, stub: Stub):
    refusing = itertools.cycle([True, False])
    stub.script[CHAT] = [lambda body: refuse(400, "image is too small") if next(refusing) else answer(body)]
    counts = make(store, stub, paint_rows(6), server={"concurrency": 1})
    assert counts.by_status == {"full": 3, "unanswered": 3} and "image is too small" in counts.why["unanswered"][0]
    stub.script[CHAT] = [answer]
    assert make(store, stub, paint_rows(6)).by_status == {"full": 6}
    assert {len(list_requests(store, image_set)) for image_set in list_image_sets(store)} == {1}


def test_a_model_that_cannot_see_is_found_out_soon(store: Store, stub: Stub):
    stub.script[CHAT] = [refuse(400, "tiny is not a multimodal model")]
    with pytest.raises(ServerError, match=r"5 images in a row got no answer; .* not a multimodal model.* sees images"):
        make(store, stub, paint_rows(200), max_failures=5)
    assert 5 <= len(stub.asked()) < 20


def test_a_wrong_key_stops_at_once(store: Store, stub: Stub):
    stub.script[CHAT] = [refuse(401, "wrong key sk-this-is-secret")]
    with pytest.raises(ServerError, match=r"refuses the key \(401\); check OPENAI_API_KEY"):
        make(store, stub, paint_rows(100))
    assert len(stub.asked()) <= 8
    stub.script[CHAT] = [answer]
    assert make(store, stub, paint_rows(10)).by_status == {"full": 10}


def test_the_key_is_nowhere_in_the_store(store: Store, stub: Stub):
    quoted = "you sent Authorization: Bearer sk-this-is-secret, which is c2stdGhpcy1pcy1zZWNyZXQ="
    stub.script[CHAT] = [refuse(400, quoted), say(quoted, system_fingerprint="sk-this-is-secret"), answer]
    make(store, stub, paint_rows(3), max_failures=9, tries=1)
    store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = store.path.read_bytes()
    assert b"you sent Authorization" in content
    assert b"sk-this-is-secret" not in content and b"c2stdGhpcy1pcy1z" not in content


@pytest.mark.parametrize("budget", [Budget(tokens=20_000), Budget(usd=0.05)])
def test_a_budget_stops_in_time_and_can_be_raised(store: Store, stub: Stub, budget: Budget):
    server = {"prices": Prices(2.5, 2.5), "concurrency": 3}
    counts = make(store, stub, paint_rows(50), budget=budget, max_tokens=300, server=server)
    # An answer takes 1,200 + 300 tokens, 0.00375 US dollars: 13 fit into either. Prompts are estimated, generously.
    spent = read_spending(store)
    assert spent.tokens <= 20_000 and spent.usd <= 0.05 and 8 <= counts.requests <= 13
    assert counts.ended == f"the budget of {budget} is used up"
    assert counts.by_status["full"] == counts.requests and counts.by_status["untouched"] == 50 - counts.requests
    again = make(store, stub, paint_rows(50), budget=budget, max_tokens=300, server=server)
    assert again.requests <= 1  # prompts are now known better
    more = make(store, stub, paint_rows(50), max_tokens=300, server=server)
    assert more.by_status == {"full": 50}


def test_a_budget_that_cannot_be_kept_is_refused(store: Store, stub: Stub):
    with pytest.raises(ConfigError, match="needs to know what a million tokens cost"):
        make(store, stub, paint_rows(2), budget=Budget(usd=1))
    stub.script[CHAT] = [lambda body: Reply({**answer(body).body, "usage": None})]
    with pytest.raises(ConfigError, match="does not say how many tokens it read"):
        make(store, stub, paint_rows(2), budget=Budget(tokens=10**6))
    assert store.read("SELECT count(*) FROM answers")[0][0] >= 1


@pytest.mark.parametrize("counted", ["n/a", -(10**6), None, 1e30])
def test_an_answer_whose_tokens_are_not_counted_is_charged_as_much_as_it_could_cost(
    store: Store, stub: Stub, counted: Any
):
    turns = itertools.count()

    def forget(body: Any) -> Reply:
        usage = {"prompt_tokens": counted, "completion_tokens": counted}
        return answer(body) if next(turns) == 0 else Reply({**answer(body).body, "usage": usage})

    stub.script[CHAT] = [forget]
    counts = make(store, stub, paint_rows(50), budget=Budget(tokens=20_000), max_tokens=300, server={"concurrency": 1})
    assert counts.ended == "the budget of 20000 tokens is used up"
    assert 5 <= counts.requests <= 13 and 15_000 < read_spending(store).tokens <= 20_000


@pytest.mark.parametrize(
    "body",
    [
        {"choices": [{"message": "hello"}]},
        {"choices": [{"message": ["hello"], "finish_reason": {"a": 1}}], "usage": "much"},
        {"choices": [{"message": {"content": {"claims": []}}, "logprobs": 3}], "usage": {"prompt_tokens": "n/a"}},
        {"choices": [{"message": {"content": '{"claims": [{"text": "A cat \\ud800.", "is_true": true}]}'}}]},
        {"choices": [{"message": {"content": "[" * 100_000}}], "usage": {"prompt_tokens": 10**400, "cost": "free"}},
        {"choices": [{"message": {"content": '[{"text": "A cat.", "is_true": ' + "9" * 9_999 + "}]"}}]},
        {"choices": [{"message": {"content": "x"}, "finish_reason": "\ud800"}], "usage": {"cost": float("nan")}},
    ],
    ids=["text", "list", "object", "half character", "nested", "number", "finish"],
)
def test_one_malformed_answer_costs_no_other_and_the_store_stays_readable(store: Store, stub: Stub, body: Any):
    spoilt = itertools.count()
    stub.script[CHAT] = [lambda asked: Reply(body) if next(spoilt) in (2, 5) else answer(asked)]
    counts = make(store, stub, paint_rows(6))
    assert counts.by_status == {"full": 6} and counts.requests >= 6
    with Store(store.path) as again:
        assert len(list_image_sets(again)) == 6
        for image_set in list_image_sets(again):
            assert labels(again, image_set) == {True: 10, False: 10}
            for request in list_requests(again, image_set):
                assert read_answer(again, request.id) is not None and request.state == "read"
        assert make(again, stub, paint_rows(6)).requests == 0


@pytest.mark.parametrize(
    ("column", "value"),
    [("prompt_tokens", "n/a"), ("usd", "NaN"), ("finish_reason", b"stop"), ("body", "text"), ("seconds", b"\x00")],
)
def test_an_answer_that_was_kept_otherwise_is_set_aside(store: Store, stub: Stub, column: str, value: Any):
    make(store, stub, paint_rows(2))
    with store.writing():
        store.execute("DELETE FROM claims")
        store.execute("UPDATE requests SET state = 'answered'")
        store.execute(f"UPDATE answers SET {column} = ? WHERE request = 1", (value,))
    counts = make(store, stub, paint_rows(2))
    assert counts.by_status == {"full": 2} and counts.requests == 1
    assert [request.trouble for request in list_requests(store, 1)] == [
        "it was not kept as answers are, and was set aside",
        None,
    ]
    assert make(store, stub, paint_rows(2)).requests == 0


def test_rows_without_end_need_no_length(store: Store, stub: Stub):
    rows = (row for row in paint_rows(5))
    counts = make(store, stub, rows)
    assert counts.total is None and counts.by_status == {"full": 5}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"per_image": 0}, "per_image is 0; it must be at least 1"),
        ({"per_request": 3}, "per_request is 3; it must be even"),
        ({"tries": -1}, "tries is -1"),
        ({"temperature": 3.0}, "temperature is 3.0"),
        ({"max_tokens": 0}, "max_tokens is 0"),
    ],
)
def test_settings_out_of_range_are_refused(options: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        MakingSettings(**options)
