"""Whoever asks a server is bounded in bytes and seconds, is sent nowhere else, and quotes no key."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from typing import Any

import pytest
from openai_stub import CHAT, Reply, refuse, run_stub, say

from vapo.api.client import ModelClient
from vapo.api.connection import GENERATE, ServerConnection
from vapo.api.server_errors import ServerError
from vapo.probing.vllm.prober import ImagePrompt
from vapo.probing.vllm.server import ServerEngine
from vapo.serving.judge.answer_score import Case
from vapo.serving.judge.judge import Judge

KEY = "sk-this-is-secret"
ONCE = {"timeout_s": 30.0, "max_retries": 0, "max_throttled_s": 0.0}


def ask_for_claims(url: str) -> None:
    async def run() -> None:
        async with ModelClient(url, "tiny", **ONCE) as client:
            await client.ask("Look.", [], {})

    asyncio.run(run())


ASKING: dict[str, tuple[str, Callable[[str], Any]]] = {
    "claims and audit": (CHAT, ask_for_claims),
    "diagnosis": (CHAT, lambda url: ServerConnection(url, **ONCE).chat({"messages": []})),
    "judge": (CHAT, lambda url: Judge(url, cache_folder=None, **ONCE).grade([Case("?", "1", "2")])),
    "probes": (GENERATE, lambda url: ServerEngine(url, 9, **ONCE).answer([ImagePrompt((1,), ())], [3, 4])),
}


@pytest.fixture(params=ASKING)
def who(request, monkeypatch, tmp_path) -> tuple[str, Callable[[str], Any]]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("vapo.api.http_client.MAX_RESPONSE_BYTES", 100_000)
    monkeypatch.setattr("vapo.api.http_client.MAX_FEATURES_BYTES", 100_000)
    return ASKING[request.param]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Reply(gzip.compress(b"x" * 200_000), headers={"Content-Encoding": "gzip"}), "more than 0 MiB"),
        (Reply(b"x" * 200_000), "more than 0 MiB"),
        (Reply(b"", fault="head"), "did not answer"),
        (Reply(b"", fault="body"), "did not answer"),
        (refuse(400, f"you sent Bearer {KEY}"), r"400: you sent Bearer \*\*\*"),
        (refuse(401, KEY), "refuses the key"),
    ],
    ids=["bomb", "flood", "endless head", "endless body", "quoted key", "wrong key"],
)
def test_a_hostile_server_costs_one_sentence(who, fault, said, monkeypatch):
    path, ask = who
    if fault.fault:  # one that never ends
        monkeypatch.setitem(ONCE, "timeout_s", 0.3)
    with run_stub() as stub:
        stub.script[path] = [fault]
        with pytest.raises(ServerError, match=said) as raised:
            ask(stub.url)
    assert KEY not in f"{raised.value} {raised.value.detail}"


def test_no_request_is_redirected(who):
    path, ask = who
    with run_stub() as stub, run_stub() as other:
        other.script[path] = [say("caught")]
        stub.script[path] = [Reply({}, 307, {"Location": other.url + path})]
        with pytest.raises(ServerError, match="redirects"):
            ask(stub.url)
        assert other.requests == []


def test_requests_are_few_while_the_server_is_busy():
    with run_stub() as stub:
        connection = ServerConnection(stub.url, concurrency=8)
        connection.find_model()
        stub.script[CHAT] = [refuse(429, "slow", **{"Retry-After": "0.05"}), say("x")]
        connection.map(lambda _: connection.chat({"messages": []}), range(8))
        assert connection._client.limiter.limit < 8


def test_only_what_may_be_dropped_is_dropped():
    with run_stub() as stub:
        stub.script[CHAT] = [refuse(400, "temperature and seed are not supported"), say("x")]
        with pytest.raises(ServerError, match="not supported"):  # a diagnosis measures what it asked for, or nothing
            ServerConnection(stub.url).chat({"messages": [], "temperature": 0.0, "seed": 0})
        stub.script[CHAT] = [refuse(400, "temperature and seed are not supported"), say("x")]
        body = {"messages": [], "temperature": 0.0, "seed": 0}
        ServerConnection(stub.url).chat(body, optional=("temperature", "seed"))
        assert set(stub.asked()[-1]) == {"model", "messages"}
