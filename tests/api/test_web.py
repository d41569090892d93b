"""One request stays within its bounds: of bytes, of seconds, and of addresses, at every hop."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request

import pytest

from vapo.api.web import fetch, is_public

PUBLIC = "93.184.216.34"


class _Server:
    """Answers as `answer` says, and counts requests."""

    def __init__(self, answer: Callable[[BaseHTTPRequestHandler], None]) -> None:
        self.paths: list[str] = []
        self.stopped = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.paths.append(self.path)
                with suppress(ConnectionError):  # the other side has hung up
                    answer(self)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.port = self._server.server_port

    def close(self) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[Any], None]], _Server]]:
    servers: list[_Server] = []

    def start(answer: Callable[[Any], None]) -> _Server:
        servers.append(_Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAPO_IMAGE_HOSTS", "images.example, 127.0.0.1")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def say(content: bytes) -> Callable[[Any], None]:
    def answer(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def redirect(url: str, status: int = 302) -> Callable[[Any], None]:
    def answer(handler: Any) -> None:
        handler.send_response(status)
        handler.send_header("Location", url)
        handler.end_headers()

    return answer


def get(url: str, **options: Any) -> bytes:
    return fetch(
        Request(url), **{"max_bytes": 1000, "seconds": 20.0, "only_public": True, "follow_redirects": True, **options}
    )


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.5.5", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
        *("0.0.0.0", "224.0.0.1", "224.0.1.7", "255.255.255.255", "240.0.0.1", "192.0.2.1"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "fec0::1", "ff02::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
        *("2002:7f00:1::", "2002:a00:1::", "2001:db8::1"),
    ],
)
def test_private_addresses_in_any_form(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", [PUBLIC, "8.8.8.8", "2606:4700::1111", f"::ffff:{PUBLIC}", "64:ff9b::5db8:d822", "2002:808:808::1"]
)
def test_addresses_of_the_open_internet(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]", "0"]
)
def test_this_machine_is_not_asked_by_any_of_its_names(serve: Any, host: str) -> None:
    server = serve(say(b"secret"))
    with pytest.raises((ValueError, OSError)):
        get(f"http://{host}:{server.port}/")
    assert server.paths == []


def test_a_redirect_to_a_private_address_is_not_followed(serve: Any, trusted: None) -> None:
    inner = serve(say(b"secret"))
    for host in ("localhost", "127.0.0.2", "169.254.169.254"):
        outer = serve(redirect(f"http://{host}:{inner.port}/x"))
        with pytest.raises(ValueError, match=r"address of a private network or of this machine; .* VAPO_IMAGE_HOSTS"):
            get(f"http://127.0.0.1:{outer.port}/")
        assert len(outer.paths) == 1
    assert inner.paths == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "gopher://x/"])
def test_a_redirect_to_another_scheme_is_not_followed(serve: Any, trusted: None, url: str) -> None:
    server = serve(redirect(url))
    with pytest.raises((OSError, ValueError)):
        get(f"http://127.0.0.1:{server.port}/")
    with pytest.raises((OSError, ValueError)):
        get(url)


def test_a_redirect_within_what_is_allowed_is_followed(serve: Any, trusted: None) -> None:
    inner = serve(say(b"image"))
    outer = serve(redirect(f"http://127.0.0.1:{inner.port}/x"))
    assert get(f"http://127.0.0.1:{outer.port}/") == b"image"
    with pytest.raises(HTTPError, match="302"):
        get(f"http://127.0.0.1:{outer.port}/", follow_redirects=False)


def test_redirects_in_a_circle_end(serve: Any, trusted: None) -> None:
    server = serve(lambda handler: redirect(f"http://127.0.0.1:{server.port}{handler.path}x")(handler))
    with pytest.raises(HTTPError, match="infinite loop"):
        get(f"http://127.0.0.1:{server.port}/")
    assert len(server.paths) <= 12


def test_a_name_is_looked_up_once_and_its_checked_address_is_asked(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that leads to the open internet when it is checked, and to this machine when it is asked."""
    server = serve(say(b"secret"))
    answers = iter([PUBLIC, "127.0.0.1", "127.0.0.1"])
    asked: list[Any] = []

    def look_up(host: str, port: int, *args: Any, **options: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    def connect(self: socket.socket, address: Any) -> None:
        asked.append(address)
        raise OSError("no network here")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(OSError, match="no network here"):
        get(f"http://rebinding.example:{server.port}/")
    assert asked == [(PUBLIC, server.port)] and server.paths == []


def test_one_private_address_among_several_is_enough(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(say(b"secret"))
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(ValueError, match=r"inside\.example is 127\.0\.0\.1"):
        get(f"http://inside.example:{server.port}/")
    monkeypatch.setenv("VAPO_IMAGE_HOSTS", "inside.example")
    assert get(f"http://inside.example:{server.port}/") == b"secret"


@pytest.mark.parametrize("part", ["head", "body", "silence"])
def test_a_drip_ends_at_the_deadline(serve: Any, trusted: None, part: str) -> None:
    def drip(handler: Any) -> None:
        if part == "body":
            handler.send_response(200)
            handler.end_headers()
        elif part == "head":
            handler.wfile.write(b"HTTP/1.0 200 OK\r\nX-Drip: ")
        while not server.stopped.wait(0.02):
            handler.wfile.write(b"" if part == "silence" else b"x")

    server = serve(drip)
    with pytest.raises(OSError, match=r"not whole within 0\.3 s|timed out"):
        get(f"http://127.0.0.1:{server.port}/", seconds=0.3, max_bytes=10**9)


def test_a_large_answer_is_cut_off(serve: Any, trusted: None) -> None:
    server = serve(say(b"x" * 5000))
    assert get(f"http://127.0.0.1:{server.port}/") == b"x" * 1001


def test_an_error_is_told_with_the_beginning_of_what_it_says(serve: Any, trusted: None) -> None:
    server = serve(lambda handler: handler.send_error(500, explain="no GPU " + "x" * 5000))
    with pytest.raises(HTTPError) as raised:
        get(f"http://127.0.0.1:{server.port}/")
    assert raised.value.code == 500 and len(raised.value.read()) <= 500


def test_a_proxy_is_asked_for_public_names_alone(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = serve(say(b"by proxy"))
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
    known = {"inside.example": "10.0.0.1", "127.0.0.1": "127.0.0.1"}

    def look_up(host: str, port: Any, *args: Any, **options: Any) -> list[Any]:
        if host not in known:
            raise socket.gaierror("unknown here")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (known[host], port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert get("http://outside.example/a.png") == b"by proxy" and proxy.paths == ["http://outside.example/a.png"]
    with pytest.raises(ValueError, match=r"inside\.example is 10\.0\.0\.1"):
        get("http://inside.example/a.png")
    assert len(proxy.paths) == 1


def test_a_post_is_sent_nowhere_else(serve: Any) -> None:
    other = serve(say(b"caught"))
    server = serve(redirect(f"http://127.0.0.1:{other.port}/", 307))
    request = Request(f"http://127.0.0.1:{server.port}/", b"secret")
    with pytest.raises(HTTPError, match="307"):
        fetch(request, max_bytes=10, seconds=20.0)
    assert other.paths == []
