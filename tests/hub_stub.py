"""A small server that speaks as much of the hub's API as an upload needs, and fails as it is told."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import huggingface_hub
import pytest

WHOAMI, CREATE = "/api/whoami-v2", "/api/repos/create"
PREUPLOAD, COMMIT = "/api/models/me/model/preupload/main", "/api/models/me/model/commit/main"


@dataclass
class HubStub:
    """What the server was asked, and how it fails.

    Attributes:
        faults: by the beginning of a path; a status, a body in place of the right one, "hang up" (before the request
            is read to its end) or "cut off" (half of an answer).
        asked: path and body of each request.
    """

    url: str = ""
    faults: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, bytes]] = field(default_factory=list)

    def body_of(self, path: str) -> bytes:
        (body,) = [body for asked, body in self.asked if asked == path]
        return body


@contextmanager
def run_hub() -> Iterator[HubStub]:
    """Serve until the context ends."""
    stub = HubStub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_HEAD(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            path, length = self.path.partition("?")[0], int(self.headers.get("Content-Length") or 0)
            fault = next((fault for start, fault in stub.faults.items() if path.startswith(start)), None)
            if fault == "hang up":
                self.rfile.read(length // 2)
                return self._hang_up()
            body = self.rfile.read(length)
            stub.asked.append((path, body))
            answer = fault if isinstance(fault, bytes) else json.dumps(_answer(stub, path, body)).encode()
            self.send_response(fault if isinstance(fault, int) else 200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer[: len(answer) // 2] if fault == "cut off" else answer)
            if fault == "cut off":
                self._hang_up()

        def _hang_up(self) -> None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def asking(url: str) -> Iterator[None]:
    """Let the hub's real client ask another address until the context ends, and wait for nothing between attempts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.ENDPOINT", url)
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        patch.setattr(time, "sleep", lambda _: None)
        yield
    huggingface_hub.close_session()


def closed_port() -> str:
    """Return an address at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def _answer(stub: HubStub, path: str, body: bytes) -> dict[str, Any]:
    if path == PREUPLOAD:
        files = json.loads(body)["files"]
        return {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]}
    if path == COMMIT:
        return {"commitUrl": f"{stub.url}/me/model/commit/1", "commitOid": "1", "success": True}
    return {"name": "me", "type": "user", "url": f"{stub.url}/me/model"}
