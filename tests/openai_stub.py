"""A small server that speaks as much of OpenAI's API as tests need, and fails as they say."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CHAT = "/v1/chat/completions"


@dataclass(frozen=True)
class Reply:
    """One answer: JSON unless `body` is bytes.

    `fault` is "reset" (half of the body), "stall" (for seconds), or a drip without end, of "head" or "body".
    """

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""
    seconds: float = 0.0


@dataclass
class Stub:
    """What the server answers and what it was asked.

    Attributes:
        script: replies by path, taken in order; the last one stays.
        requests: (path, headers by lower-case name, body) of each request.
    """

    url: str
    script: dict[str, list[Reply | Callable[[Any], Reply]]]
    requests: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)

    def asked(self, path: str = CHAT) -> list[Any]:
        return [body for asked, _, body in self.requests if asked == path]


@contextmanager
def run_stub(models: Sequence[str] = ("tiny",), **more: Any) -> Iterator[Stub]:
    """Serve until the context ends; paths without a script are not found."""
    stub = Stub("", {"/v1/models": [Reply({"data": [{"id": name, **more} for name in models]})]})
    lock, stopped = threading.Lock(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body: Any) -> None:
            with lock:
                headers = {name.lower(): value for name, value in self.headers.items()}
                stub.requests.append((self.path, headers, body))
                replies = stub.script.get(self.path, [Reply({"error": {"message": "no such page"}}, 404)])
                reply = replies.pop(0) if len(replies) > 1 else replies[0]
            reply = reply if isinstance(reply, Reply) else reply(body)
            content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            if reply.fault == "stall":
                time.sleep(reply.seconds)
            try:
                if reply.fault in ("head", "body"):
                    self._drip(reply.fault)
                    return
                self.send_response(reply.status)
                for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if reply.fault == "reset":
                    self.wfile.write(content[: len(content) // 2])
                    self.wfile.flush()
                    # A lingering time of zero makes the end of the connection a reset.
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.close_connection = True
                    return
                self.wfile.write(content)
            except ConnectionError:  # the other side has stopped waiting
                self.close_connection = True

        def _drip(self, part: str) -> None:
            self.close_connection = True
            if part == "body":
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
            else:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Patience: ")
            while not stopped.wait(0.02):
                self.wfile.write(b" ")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    stub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield stub
    finally:
        stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()


def say(text: str | None, *, tokens: tuple[int, int] = (100, 10), **message: Any) -> Reply:
    """A chat completion of one message."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text, **message}}
    usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    return Reply({"choices": [choice], "usage": usage})


def refuse(status: int, message: str, **headers: str) -> Reply:
    return Reply({"error": {"message": message, "type": "error"}}, status, headers)
