"""The review's server: it answers its own page on this machine, and nobody else."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time

import pytest
from claims.review.conftest import serve

from vapo.claims.review.server import ReviewServer
from vapo.claims.review.session import ReviewSession
from vapo.claims.store.annotations import read_annotations
from vapo.claims.store.store import Store
from vapo.errors import ConfigError


@pytest.fixture
def server(path):
    with serve(ReviewSession(path, "ann")) as server:
        yield server


def ask(server: ReviewServer, path: str, body: object = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Send a request below the token, unless the path begins with a slash."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
    where = path if path.startswith("/") else f"/{server.token}/{path}"
    host = f"127.0.0.1:{server.server_port}"
    sent = {"Host": host, "Origin": f"http://{host}", **{name.replace("_", "-"): v for name, v in headers.items()}}
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    connection.request("GET" if body is None else "POST", where, content, {k: v for k, v in sent.items() if v})
    reply = connection.getresponse()
    found = reply.status, dict(reply.getheaders()), reply.read()
    connection.close()
    return found


def count_marks(path) -> int:
    with Store(path) as store:
        return len(read_annotations(store))


def test_the_page_and_its_parts(server):
    for part, media_type in (
        ("", "text/html; charset=utf-8"),
        ("review.js", "text/javascript"),
        ("review.css", "text/css"),
    ):
        status, headers, _ = ask(server, part)
        assert status == 200 and headers["Content-Type"] == media_type
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
    assert ask(server, "images/0/0")[1]["Content-Type"] == "image/png"


def test_the_page_runs_the_script_it_names_and_no_other(server):
    def look() -> str:
        _, headers, page = ask(server, "")
        policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
        nonce = policy["script-src"].removeprefix("'nonce-").removesuffix("'")
        assert policy["script-src"] == policy["style-src"] == f"'nonce-{nonce}'" and len(nonce) > 20
        assert page.count(f'nonce="{nonce}"'.encode()) == page.count(b"<script") + page.count(b'<link rel="style') == 2
        return nonce

    assert look() != look()


def test_what_is_no_page_runs_nothing(server):
    for part in ("images/0/0", "review.js", "review.css", "start", "nowhere"):
        _, headers, _ = ask(server, part)
        assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "media_type", ["text/html", "image/svg+xml", "text/javascript", "image/png\r\nSet-Cookie: token=1\r\nX-A: b"]
)
def test_an_image_of_another_type_is_not_served(server, path, media_type):
    with Store(path) as store:
        store.execute("UPDATE images SET media_type = ?, content = ?", (media_type, b"<script>alert(1)</script>"))
    status, headers, said = ask(server, "images/0/0")
    assert status == 400 and headers["Content-Type"] == "application/json" and "Set-Cookie" not in headers
    assert "not as vapo writes them" in json.loads(said)["error"]


def test_a_mark_is_stored_and_measured(server, path):
    claims = json.loads(ask(server, "places/0")[2])["claims"]
    status, _, said = ask(server, "annotations", {"claim": claims[0]["id"], "judgement": "wrong"})
    measured = json.loads(said)
    assert status == 200 and (measured["total"], measured["wrong"], measured["rate"][0]) == (9, 1, 1.0)
    assert count_marks(path) == 1
    before = measured["rate"]
    for place in (1, 2):  # each about an image of its own
        claim = json.loads(ask(server, f"places/{place}")[2])["claims"][0]["id"]
        after = json.loads(ask(server, "annotations", {"claim": claim, "judgement": "right"})[2])["rate"]
    assert after[0] == pytest.approx(1 / 3) and after[1:] != before[1:] and after[2] < 1 == before[2]
    assert json.loads(ask(server, "undo", {})[2])["undone"] == [2, claim]
    assert count_marks(path) == 2


def test_a_claim_that_was_judged_on_another_page_is_not_judged_unseen(server, path):
    """The same reviewer in two browsers: the second one still shows the claim without an annotation."""
    claim = json.loads(ask(server, "places/0")[2])["claims"][0]
    first, second = (
        {"claim": claim["id"], "judgement": word, "before": claim["annotation"]} for word in ("right", "wrong")
    )
    said = json.loads(ask(server, "annotations", first)[2])
    assert said["annotation"] == {"judgement": "right", "text": None, "is_true": None}
    status, _, reason = ask(server, "annotations", second)
    assert status == 409 and "on another page" in json.loads(reason)["error"]
    with Store(path) as store:
        assert [annotation.judgement for (annotation,) in read_annotations(store).values()] == ["right"]
    assert ask(server, "annotations", {**second, "before": said["annotation"]})[0] == 200
    assert ask(server, "annotations", {**second, "before": {"judgement": "perhaps"}})[0] == 400


@pytest.mark.parametrize("where", ["/", "/start", "/wrong-token/", "/wrong-token/start", "/favicon.ico", "//start"])
def test_without_the_token_there_is_nothing(server, where):
    status, _, said = ask(server, where)
    assert status == 404 and server.token not in said.decode()
    assert ask(server, where, {"claim": 1, "judgement": "right"})[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "[::1]:{port}"])
def test_another_host_is_refused_with_the_token_too(server, path, host):
    host = host.format(port=server.server_port)
    assert ask(server, "start", Host=host)[0] == 403
    assert ask(server, "annotations", {"claim": 1, "judgement": "right"}, Host=host)[0] == 403
    assert count_marks(path) == 0


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "https://127.0.0.1:{port}"])
def test_other_pages_cannot_write(server, path, origin):
    said = ask(
        server, "annotations", {"claim": 1, "judgement": "right"}, Origin=origin.format(port=server.server_port)
    )
    assert said[0] == 403 and count_marks(path) == 0


def test_it_listens_on_this_machine_alone(server):
    assert server.server_address[0] == "127.0.0.1"
    assert ask(server, "start", Host=f"localhost:{server.server_port}")[0] == 200  # as through ssh -L


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "an annotation is a JSON object"),
        (b"[" * 30_000, "an annotation is a JSON object"),
        (b"[1]", "an annotation is a JSON object"),
        (b" " * 70_000, "at most 65536 bytes"),
        ({"claim": "1", "judgement": "right"}, "a claim's number"),
        ({"claim": True, "judgement": "right"}, "a claim's number"),
        ({"claim": 1}, "a judgement"),
        ({"claim": 1, "judgement": "wrong", "text": 3}, "must be text"),
        ({"claim": 1, "judgement": "wrong", "is_true": 0}, "true or false"),
        ({"claim": 1, "judgement": "wrong", "text": "\ud800"}, "cannot be shown"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(server, path, body, message):
    status, _, said = ask(server, "annotations", body)
    assert status == 400 and message in json.loads(said)["error"] and count_marks(path) == 0


@pytest.mark.parametrize("where", ["places/9", "places/-1", "images/0/9", "other", "../start", "places/" + "9" * 30])
def test_what_is_not_there(server, where):
    assert ask(server, where)[0] in (400, 404)
    assert ask(server, "elsewhere", {})[0] == 404


def test_a_store_that_has_gone_is_told(server, path):
    path.unlink()
    status, _, said = ask(server, "places/0")
    assert status == 400 and "there is no store" in json.loads(said)["error"]
    assert ask(server, "images/0/0")[0] == 400


def test_a_port_in_use_names_the_way_out(path):
    session = ReviewSession(path, "ann")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match=r"port \d+ cannot be listened on .* --port"):
            ReviewServer(session, taken.getsockname()[1])
    with serve(session) as server:
        ask(server, "start")
        with pytest.raises(ConfigError, match=r"port \d+ cannot be listened on"):
            ReviewServer(session, server.server_port)
    with serve(session, server.server_port) as again:  # at once, although connections of before linger
        assert ask(again, "start")[0] == 200
    with pytest.raises(ConfigError, match="0 to 65535"):
        ReviewServer(session, 70_000)


def test_nothing_is_printed_not_even_when_a_browser_leaves(server, capfd):
    ask(server, "start")
    with socket.create_connection(("127.0.0.1", server.server_port)) as line:
        line.sendall(f"GET /{server.token}/images/0/0 HTTP/1.1\r\n".encode())
    ask(server, "start")
    assert capfd.readouterr() == ("", "")


def drip(line: socket.socket, content: bytes) -> bytes:
    """Send what is asked a byte at a time until the server hangs up; return what it said."""
    with contextlib.suppress(ConnectionError):
        for byte in content:
            line.sendall(bytes([byte]))
            time.sleep(0.02)
    with contextlib.suppress(ConnectionError):
        return line.recv(100)
    return b""


@pytest.mark.parametrize("begin", [b"", b"POST /{token}/marks HTTP/1.1\r\nHost: {host}\r\n"])
def test_a_client_that_drips_is_left(path, begin):
    """Each byte comes in time, the whole request never."""
    with serve(ReviewSession(path, "ann"), max_seconds=0.3) as server:
        with socket.create_connection(("127.0.0.1", server.server_port)) as line:
            line.sendall(begin.replace(b"{token}", server.token.encode()))
            assert drip(line, b"a" * 200) == b""
        assert ask(server, "start")[0] == 200


def test_a_client_that_takes_no_reply_is_left(path):
    with Store(path) as store:
        store.execute("UPDATE images SET content = zeroblob(20000000)")  # more than lies between two sockets
    before = threading.active_count()
    with serve(ReviewSession(path, "ann"), max_seconds=0.3) as server:
        line = socket.create_connection(("127.0.0.1", server.server_port))
        host = f"127.0.0.1:{server.server_port}"
        line.sendall(f"GET /{server.token}/images/0/0 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        line.recv(1)
        while threading.active_count() > before + 1:  # the server's own
            time.sleep(0.01)
        line.close()


def test_more_clients_than_threads_are_turned_away_and_then_served(path, monkeypatch):
    monkeypatch.setattr("vapo.claims.review.connections.MAX_CONNECTIONS", 3)
    with serve(ReviewSession(path, "ann")) as server:
        lines = [socket.create_connection(("127.0.0.1", server.server_port)) for _ in range(6)]
        assert [line.recv(1) for line in lines[3:]] == [b""] * 3
        for line in lines:
            line.close()
        while True:
            with contextlib.suppress(ConnectionError, http.client.RemoteDisconnected):
                if ask(server, "start")[0] == 200:
                    break
