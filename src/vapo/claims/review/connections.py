"""Connections of which there are only so many at once, and each takes only so long.

A server with a thread for each connection stops answering when clients open many and send little.
"""

from __future__ import annotations

import io
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MAX_CONNECTIONS = 64
MAX_SECONDS = 20.0
"""For a request to arrive whole, and again for its reply to be taken."""


class LimitedServer(ThreadingHTTPServer):
    """Serve with a thread for each connection; more than `MAX_CONNECTIONS` at once are closed unanswered.

    Args:
        address: host and port to listen on.
        handler: what answers a request.
        max_seconds: that a request may take to arrive, and its reply to be taken.
    """

    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], handler: type[LimitedHandler], max_seconds: float = MAX_SECONDS
    ) -> None:
        self.max_seconds = max_seconds
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()


class LimitedHandler(BaseHTTPRequestHandler):
    """Handle one request of a `LimitedServer`."""

    server: LimitedServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def setup(self) -> None:
        super().setup()
        self.rfile = io.BufferedReader(_TimedReader(self.connection, self.server.max_seconds))

    def write(self, content: bytes) -> None:
        """Send a reply's body, with its headers before it."""
        self.connection.settimeout(self.server.max_seconds)  # of the whole call, not of each packet
        self.end_headers()
        self.wfile.write(content)


class _TimedReader(io.RawIOBase):
    """What a socket receives, all of it before one moment. A time-out of the socket's own starts anew at each byte."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection = connection
        self._until = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)
