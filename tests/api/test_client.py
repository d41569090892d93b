"""A paid answer is worth some patience; what will not pass is said at once."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import zlib
from typing import Any

import pytest
from openai_stub import CHAT, Reply, refuse, run_stub, say

from vapo.api.client import ModelClient
from vapo.api.prices import Prices
from vapo.api.server_errors import ServerError
from vapo.claims.store.images import StoredImage
from vapo.errors import ConfigError, ModelError

KEY = "sk-this-is-secret"
IMAGES = [StoredImage("a", 1, 1, "image/png", b"image")]


@pytest.fixture(autouse=True)
def own_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture
def stub():
    with run_stub() as opened:
        yield opened


def ask(url: str, *, times: int = 1, options: dict[str, Any] | None = None, **settings: Any):
    async def run():
        async with ModelClient(url, **settings) as server:
            await server.connect()
            return await asyncio.gather(*(server.ask("Look.", IMAGES, options or {}) for _ in range(times)))

    return asyncio.run(run())


def test_an_answer_comes_byte_for_byte_with_what_it_took(stub):
    body = json.dumps(say("hello", tokens=(2000, 100)).body, indent=3).encode() + b"\n "
    stub.script[CHAT] = [Reply(body)]
    (answer,) = ask(stub.url, prices=Prices(2.5, 10.0), options={"temperature": 0, "seed": 5})
    assert answer.body == body and answer.finish_reason == "stop"
    assert (answer.prompt_tokens, answer.completion_tokens) == (2000, 100)
    assert answer.usd == pytest.approx(2000 * 2.5e-6 + 100 * 10e-6)
    (asked,) = stub.asked()
    assert (asked["model"], asked["temperature"], asked["seed"]) == ("tiny", 0, 5)
    assert [part["type"] for part in asked["messages"][0]["content"]] == ["text", "image_url"]


def test_a_server_may_say_what_it_cost_itself(stub):
    reply = say("hello").body
    stub.script[CHAT] = [Reply({**reply, "usage": {**reply["usage"], "cost": 0.25}})]
    assert ask(stub.url)[0].usd == 0.25 and ask(stub.url, prices=Prices(0, 0))[0].usd == 0


@pytest.mark.parametrize(
    "fault",
    [
        refuse(429, "slow down", **{"Retry-After": "0.2"}),
        refuse(429, "slow down"),
        refuse(500, "oops"),
        refuse(503, "overloaded", **{"Retry-After": "0.1"}),
        refuse(408, "too late"),
        Reply(say("x").body, fault="reset"),
        Reply(say("x").body, fault="stall", seconds=1.0),
        Reply(b'{"choices": [{"mess'),
        Reply(b"<html>\xff</html>"),
        Reply({"choices": []}),
        Reply([1, 2]),
    ],
    ids=["429-wait", "429", "500", "503", "408", "reset", "stall", "half", "html", "no-choice", "list"],
)
def test_what_passes_is_waited_for(stub, fault):
    stub.script[CHAT] = [fault, fault, say("at last")]
    (answer,) = ask(stub.url, timeout_s=0.3)
    assert b"at last" in answer.body and len(stub.asked()) == 3


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        (refuse(500, "out of memory"), 500, "answered /chat/completions with 500: out of memory"),
        (Reply(say("x").body, fault="reset"), None, "cannot be reached"),
        (Reply(say("x").body, fault="stall", seconds=1.0), None, r"did not answer .* within 0.3 s \(2 attempts\)"),
        (Reply(b"{"), None, "does not speak JSON"),
        (Reply({"error": {"message": "no GPU"}}), None, "without a choice: no GPU"),
    ],
    ids=["500", "reset", "stall", "half", "no-choice"],
)
def test_what_does_not_pass_is_told_and_others_may_fare_better(stub, fault, status, said):
    stub.script[CHAT] = [fault]
    with pytest.raises(ServerError, match=said) as raised:
        ask(stub.url, timeout_s=0.3, max_retries=1)
    assert raised.value.status == status and raised.value.may_pass and KEY not in str(raised.value)
    assert len(stub.asked()) == 2


def test_refusals_to_hurry_are_no_failures_but_patience_ends(stub):
    stub.script[CHAT] = [*[refuse(429, "slow", **{"Retry-After": "0.01"})] * 12, say("at last")]
    assert b"at last" in ask(stub.url, max_retries=1)[0].body
    stub.script[CHAT] = [refuse(429, "slow", **{"Retry-After": "0.05"})]
    with pytest.raises(ServerError, match=r"takes no more requests .429 after"):
        ask(stub.url, max_throttled_s=0.3)


def test_being_told_to_slow_down_slows_all_down(stub):
    async def run() -> tuple[float, float]:
        async with ModelClient(stub.url, concurrency=8) as server:
            await server.connect()
            stub.script[CHAT] = [refuse(429, "slow", **{"Retry-After": "0.05"}), say("x")]
            await asyncio.gather(*(server.ask("Look.", IMAGES, {}) for _ in range(8)))
            slowed = server.limiter.limit
            for _ in range(200):
                server.limiter.speed_up()
            return slowed, server.limiter.limit

    slowed, recovered = asyncio.run(run())
    assert 4 <= slowed < 8 and recovered == 8


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (refuse(401, f"wrong key {KEY}"), "refuses the key .401.; check OPENAI_API_KEY"),
        (refuse(403, "no"), "refuses the key"),
        (refuse(404, "gone"), "has no /chat/completions for the model 'tiny': gone"),
        (Reply({"error": {"message": "pay first", "code": "insufficient_quota"}}, 429), "takes no more .* pay first"),
        (refuse(402, "empty"), "takes no more requests on this account"),
    ],
    ids=["401", "403", "404", "quota", "402"],
)
def test_what_stops_everything_is_not_tried_again(stub, fault, said):
    stub.script[CHAT] = [fault]
    with pytest.raises(ServerError, match=said) as raised:
        ask(stub.url, model="tiny")
    assert not raised.value.may_pass and len(stub.asked()) == 1 and KEY not in str(raised.value)


def test_a_wait_of_hours_is_not_waited_for(stub):
    stub.script[CHAT] = [refuse(429, "come back tomorrow", **{"Retry-After": "86400"})]
    with pytest.raises(ServerError, match="come back tomorrow"):
        ask(stub.url)
    assert len(stub.asked()) == 1


def test_what_the_server_does_not_take_is_left_out_by_all(stub):
    def answer(body: Any) -> Reply:
        named = [name for name in ("response_format", "seed", "max_completion_tokens") if name in body]
        return refuse(400, f"{named[0]} is not supported") if named else say(str(body.get("max_tokens")))

    stub.script[CHAT] = [answer]
    options = {"response_format": {"type": "json_object"}, "seed": 1, "max_completion_tokens": 7, "temperature": 0}
    answers = ask(stub.url, times=6, options=options)
    assert all(json.loads(a.body)["choices"][0]["message"]["content"] == "7" for a in answers)
    assert len(stub.asked()) <= 6 * 4


def test_an_answer_that_has_no_room_beside_a_prompt_is_limited_beside_the_next(stub):
    refusal = refuse(400, "max_tokens=4096 cannot be greater than max_model_len=2048")
    stub.script[CHAT] = [refusal, say("x"), say("y")]
    ask(stub.url, times=2, options={"max_completion_tokens": 4096, "seed": 1}, concurrency=1)
    assert [body.get("max_completion_tokens") for body in stub.asked()] == [4096, None, 4096]
    assert [body.get("seed") for body in stub.asked()] == [1, 1, 1]
    stub.script[CHAT] = [refusal]
    with pytest.raises(ServerError, match="max_model_len=2048"):  # nothing is left to leave out
        ask(stub.url, options={"max_completion_tokens": 4096})


def test_a_wrong_request_is_not_tried_again(stub):
    stub.script[CHAT] = [refuse(400, "the image is too large")]
    with pytest.raises(ServerError, match="400: the image is too large") as raised:
        ask(stub.url)
    assert len(stub.asked()) == 1 and raised.value.may_pass


def test_no_server():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ServerError, match=f"{url} cannot be reached .*; check the URL"):
        ask(url)


@pytest.mark.parametrize(
    ("model", "said"), [("huge", "has no model 'huge'; it has tiny, small"), (None, "has 2 models .* name the one")]
)
def test_the_model_must_be_there(model, said):
    with run_stub(["tiny", "small"]) as stub, pytest.raises(ServerError, match=said):
        ask(stub.url, model=model)


def test_a_server_without_a_list_is_taken_at_the_users_word(stub):
    del stub.script["/v1/models"]
    stub.script[CHAT] = [say("x")]
    assert ask(stub.url, model="mine") and stub.asked()[0]["model"] == "mine"


def test_embeddings_come_in_the_order_of_their_texts(stub):
    entries = [{"index": 1, "embedding": [0, 1]}, {"index": 0, "embedding": [1, 0]}]
    stub.script["/v1/embeddings"] = [Reply({"data": entries}), Reply({"data": entries[:1]})]

    async def run() -> list[list[float]]:
        async with ModelClient(stub.url, "tiny") as server:
            found = await server.embed("small", ["a", "b"])
            with pytest.raises(ServerError, match="gave 1 embeddings of 2 texts"):
                await server.embed("small", ["a", "b"])
            return found

    assert asyncio.run(run()) == [[1, 0], [0, 1]]
    assert stub.asked("/v1/embeddings")[0]["input"] == ["a", "b"]


@pytest.mark.parametrize(
    "options", [{"timeout_s": 0}, {"max_retries": -1}, {"max_throttled_s": -1}, {"concurrency": 0}]
)
def test_numbers_out_of_range(options):
    with pytest.raises(ConfigError, match="must be"):
        ModelClient("http://localhost:1", **options)


def test_without_the_openai_package(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    with pytest.raises(ModelError, match=r"pip install 'vapo\[server\]'"):
        ModelClient("http://localhost:1")


@pytest.mark.parametrize("part", ["head", "body"])
def test_an_answer_that_trickles_in_is_late(stub, part):
    stub.script[CHAT] = [Reply(b"", fault=part), say("at last")]
    assert b"at last" in ask(stub.url, timeout_s=0.2)[0].body and len(stub.asked()) == 2


@pytest.mark.parametrize("packed", [True, False])
def test_an_answer_that_would_fill_the_memory_is_given_up_and_the_others_go_on(stub, monkeypatch, packed):
    monkeypatch.setattr("vapo.api.http_client.MAX_RESPONSE_BYTES", 100_000)
    bomb = json.dumps(say("x" * 200_000).body).encode()
    bomb = Reply(gzip.compress(bomb), headers={"Content-Encoding": "gzip"}) if packed else Reply(bomb)
    stub.script[CHAT] = [bomb]
    with pytest.raises(ServerError, match="response has more than") as raised:
        ask(stub.url)
    assert raised.value.may_pass and len(stub.asked()) == 1


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_packed_answer_is_unpacked(stub, encoding):
    body = json.dumps(say("hello").body).encode()
    packed = gzip.compress(body) if encoding == "gzip" else zlib.compress(body)
    stub.script[CHAT] = [Reply(packed, headers={"Content-Encoding": encoding})]
    assert ask(stub.url)[0].body == body


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_request_is_sent_nowhere_else(stub, status):
    with run_stub() as other:
        other.script[CHAT] = [say("caught")]
        stub.script[CHAT] = [Reply({}, status, {"Location": other.url + CHAT})]
        with pytest.raises(ServerError, match="redirects /chat/completions"):
            ask(stub.url)
        assert other.requests == []


def test_nothing_that_is_handed_on_holds_the_key(stub):
    stub.script[CHAT] = [say(f"you sent Bearer {KEY}", tokens=(5, 5))]
    (answer,) = ask(stub.url)
    assert KEY.encode() not in answer.body and b"you sent Bearer ***" in answer.body
    stub.script[CHAT] = [refuse(400, f"bad header Authorization: Bearer {KEY}")]
    with pytest.raises(ServerError, match="bad header") as raised:
        ask(stub.url)
    assert KEY not in f"{raised.value} {raised.value.detail}"


@pytest.mark.parametrize("header", ["nan", "0", "-1", "1e-9"])
def test_a_server_that_asks_for_no_wait_is_not_hammered(stub, monkeypatch, header):
    monkeypatch.setattr("vapo.api.retry_policy._FIRST_S", 0.1)
    stub.script[CHAT] = [refuse(429, "slow", **{"Retry-After": header})]
    with pytest.raises(ServerError, match="takes no more requests"):
        ask(stub.url, max_throttled_s=0.5)
    assert len(stub.asked()) <= 12  # a back-off of 0.05 s at least, not as fast as the line allows


def test_one_request_that_is_told_to_wait_for_a_day_stops_no_other(stub):
    stub.script[CHAT] = [refuse(429, "tomorrow", **{"Retry-After": "86400"}), say("today")]

    async def run():
        async with ModelClient(stub.url, concurrency=2) as server:
            await server.connect()
            with pytest.raises(ServerError, match="tomorrow"):
                await server.ask("Look.", IMAGES, {})
            return await server.ask("Look.", IMAGES, {})

    assert b"today" in asyncio.run(run()).body


@pytest.mark.parametrize(
    "body",
    [
        {"choices": [{"message": "hello"}]},
        {"choices": [{"message": None, "finish_reason": {"a": 1}}], "usage": "much"},
        {"choices": [{"message": {"content": {"a": 1}}, "finish_reason": 3}], "usage": {"prompt_tokens": "n/a"}},
        {"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": -5, "completion_tokens": 1e400}},
    ],
)
def test_an_answer_in_another_form_counts_as_nothing(stub, body):
    stub.script[CHAT] = [Reply(body)]
    (answer,) = ask(stub.url)
    assert (answer.prompt_tokens, answer.completion_tokens, answer.usd, answer.finish_reason) == (0, 0, 0.0, "")


def test_lists_within_lists_are_no_answer(stub):
    stub.script[CHAT] = [Reply(b"[" * 200_000 + b"]" * 200_000), Reply(b'{"n": ' + b"9" * 9999 + b"}"), say("x")]
    assert ask(stub.url) and len(stub.asked()) == 3
