from __future__ import annotations

import gzip
import json
import socket
import time

import pytest
from openai_stub import CHAT, Reply, refuse, run_stub, say

from vapo.api.connection import ServerConnection
from vapo.api.server_errors import ServerError
from vapo.errors import ConfigError

HELLO = {"messages": [{"role": "user", "content": "Hello"}]}
KEY = "sk-this-is-secret"


@pytest.fixture(autouse=True)
def own_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture
def stub():
    with run_stub() as stub:
        yield stub


def content_of(reply) -> str:
    return reply["choices"][0]["message"]["content"]


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host", "", "http://", "checkpoint-100"])
def test_what_is_no_url(url):
    with pytest.raises(ConfigError, match="write it as http://localhost:8000"):
        ServerConnection(url)


@pytest.mark.parametrize("options", [{"timeout_s": 0}, {"max_retries": -1}, {"concurrency": 0}])
def test_numbers_out_of_range(options):
    with pytest.raises(ConfigError, match="must be"):
        ServerConnection("http://localhost:1", **options)


def test_a_password_in_the_url_is_not_told():
    with pytest.raises(ServerError) as raised:
        ServerConnection("http://me:secret@127.0.0.1:1", max_retries=0).find_model()
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "fault",
    [
        refuse(429, "slow down", **{"Retry-After": "0.2"}),
        refuse(429, "slow down"),
        refuse(500, "oops"),
        refuse(503, "overloaded"),
        Reply(b"<html>Bad gateway</html>", 502, {"Content-Type": "text/html"}),
        Reply(say("half of this is lost").body, fault="reset"),
        Reply(say("too late").body, fault="stall", seconds=1.0),
        Reply(b'{"choices": [{"mess'),
        Reply(b"\xff\xfe not utf-8"),
        Reply(b"<html>Please wait</html>", headers={"Content-Type": "text/html"}),
        Reply({"choices": []}),
        Reply(b"[" * 200_000),
        Reply(b"", fault="head"),
        Reply(b"", fault="body"),
    ],
    ids=[
        *("429 with Retry-After", "429", "500", "503", "502 page", "reset", "stall", "half", "bytes", "page"),
        *("no choice", "nested", "drip of the head", "drip of the body"),
    ],
)
def test_what_may_pass_is_tried_again(stub, fault):
    stub.script[CHAT] = [fault, say("at last")]
    connection = ServerConnection(stub.url, timeout_s=0.5, max_retries=2)
    assert content_of(connection.chat(HELLO)) == "at last"
    assert len(stub.asked()) == 2


def test_retry_after_is_waited_for(stub):
    stub.script[CHAT] = [refuse(429, "slow down", **{"Retry-After": "1"}), say("at last")]
    connection = ServerConnection(stub.url, max_retries=1)
    connection.find_model()
    start = time.monotonic()
    connection.chat(HELLO)
    assert 0.95 < time.monotonic() - start < 3


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        (refuse(429, "quota used up"), 429, r"takes no more requests \(429 after 2 attempts\): quota used up"),
        (refuse(500, "out of memory"), 500, "answered /chat/completions with 500: out of memory"),
        (Reply({"detail": "not today"}, 503), 503, "503: not today"),
        (Reply(say("x").body, fault="reset"), None, "cannot be reached"),
        (Reply(say("x").body, fault="stall", seconds=1.0), None, r"did not answer .* within 0.3 s \(2 attempts\)"),
        (Reply(b"{"), None, "does not speak JSON"),
        (Reply([1, 2]), None, "does not speak JSON"),
    ],
    ids=["429", "500", "503", "reset", "stall", "half", "list"],
)
def test_what_does_not_pass_is_told(stub, fault, status, said):
    stub.script[CHAT] = [fault]
    with pytest.raises(ServerError, match=said) as raised:
        ServerConnection(stub.url, timeout_s=0.3, max_retries=1, max_throttled_s=0.2).chat(HELLO)
    assert raised.value.status == status and raised.value.may_pass
    assert stub.url in str(raised.value) and KEY not in str(raised.value)
    assert len(stub.asked()) == 2


def test_a_wrong_request_is_not_tried_again(stub):
    stub.script[CHAT] = [refuse(400, "max_tokens is too large")]
    with pytest.raises(ServerError, match="400: max_tokens is too large"):
        ServerConnection(stub.url).chat(HELLO)
    assert len(stub.asked()) == 1


def test_no_server():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ServerError, match=f"127.0.0.1:{port} cannot be reached .*that the server is running"):
        ServerConnection(f"http://127.0.0.1:{port}", max_retries=0).find_model()


def test_the_key_is_sent_and_a_wrong_one_is_not_told(stub):
    stub.script[CHAT] = [refuse(401, f"Incorrect API key provided: {KEY}")]
    with pytest.raises(ServerError, match=r"refuses the key \(401\); check OPENAI_API_KEY") as raised:
        ServerConnection(stub.url).chat(HELLO)
    assert KEY not in str(raised.value) and not raised.value.may_pass
    assert stub.requests[-1][1]["authorization"] == f"Bearer {KEY}"


def test_a_key_that_is_missing(stub, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    stub.script["/v1/models"] = [refuse(401, "no key")]
    with pytest.raises(ServerError, match="put the key into the environment variable OPENAI_API_KEY"):
        ServerConnection(stub.url).find_model()


@pytest.mark.parametrize("status", [301, 307])
def test_a_request_is_sent_nowhere_else(stub, status):
    with run_stub() as other:
        other.script[CHAT] = [say("caught")]
        stub.script[CHAT] = [Reply({}, status, {"Location": other.url + CHAT})]
        with pytest.raises(ServerError, match="redirects /chat/completions"):
            ServerConnection(stub.url).chat(HELLO)
        assert other.requests == []


def test_an_answer_that_would_fill_the_memory_is_given_up(stub, monkeypatch):
    monkeypatch.setattr("vapo.api.http_client.MAX_RESPONSE_BYTES", 100_000)
    bomb = gzip.compress(json.dumps(say("x" * 200_000).body).encode())
    stub.script[CHAT] = [Reply(bomb, headers={"Content-Encoding": "gzip"})]
    with pytest.raises(ServerError, match="response has more than"):
        ServerConnection(stub.url, max_retries=0).chat(HELLO)


def test_no_answer_holds_the_key(stub):
    stub.script[CHAT] = [say(f"you sent {KEY}")]
    assert content_of(ServerConnection(stub.url).chat(HELLO)) == "you sent ***"


class TestModels:
    def test_the_only_one_is_taken(self, stub):
        stub.script[CHAT] = [say("hello")]
        connection = ServerConnection(stub.url)
        connection.chat(HELLO)
        assert connection.model == "tiny" == stub.asked()[0]["model"]
        assert len(stub.asked("/v1/models")) == 1

    def test_a_wrong_name(self, stub):
        with pytest.raises(ServerError, match="has no model 'big'; it has tiny") as raised:
            ServerConnection(stub.url, "big").find_model()
        assert not raised.value.may_pass

    def test_several(self):
        with run_stub([f"m{n}" for n in range(10)]) as stub:
            with pytest.raises(ServerError, match=r"has 10 models \(m0, .*, m7 and 2 more\); name the one to ask"):
                ServerConnection(stub.url).find_model()
            assert ServerConnection(stub.url, "m3").model == "m3"

    def test_none(self):
        with run_stub([]) as stub, pytest.raises(ServerError, match=r"has 0 models \(none\)"):
            ServerConnection(stub.url).find_model()

    def test_a_server_without_a_list(self, stub):
        del stub.script["/v1/models"]
        assert ServerConnection(stub.url, "big").model == "big"
        with pytest.raises(ServerError, match="has no /chat/completions for the model 'big'"):
            ServerConnection(stub.url, "big").chat(HELLO)
        with pytest.raises(ServerError, match="404"):
            ServerConnection(stub.url).find_model()


class TestMap:
    def test_order_and_concurrency(self):
        connection = ServerConnection("http://localhost:1", concurrency=8)
        start = time.monotonic()
        assert connection.map(lambda n: (time.sleep(0.1), n)[1], range(16)) == list(range(16))
        assert time.monotonic() - start < 1.0
        assert connection.map(str, []) == []

    def test_an_error_drops_what_has_not_begun(self):
        done = []

        def call(number: int) -> None:
            if number == 0:
                raise ConfigError("stop")
            time.sleep(0.02)
            done.append(number)

        with pytest.raises(ConfigError, match="stop"):
            ServerConnection("http://localhost:1", concurrency=2).map(call, range(1000))
        assert len(done) < 20
