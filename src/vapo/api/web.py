"""One HTTP request of the standard library within bounds: of bytes, of seconds in all, and of addresses.

A name may lead to another address each time it is looked up. So the address that a connection is made to is the one
that was checked, and every redirect is a connection of its own. Behind a proxy, which looks names up itself, they are
checked as this machine knows them.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import os
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

TRUSTED_HOSTS = "VAPO_IMAGE_HOSTS"
"""Environment variable: hosts of one's own network from which images are fetched all the same, with commas between."""

_ERROR_BYTES = 500
_EMBEDDED = [ipaddress.ip_network(net) for net in ("64:ff9b::/96", "::/96")]


def fetch(
    request: Request, *, max_bytes: int, seconds: float, only_public: bool = False, follow_redirects: bool = False
) -> bytes:
    """Return what a web server answers, cut off behind `max_bytes + 1` bytes.

    Args:
        request: to an http or https URL; there is no other scheme, redirects included.
        max_bytes: the most that the caller takes.
        seconds: for all of it, redirects included.
        only_public: refuse addresses of private networks and of this machine, but for `TRUSTED_HOSTS`.
        follow_redirects: whether to; up to ten.

    Raises:
        HTTPError: the server answers with an error, or a redirect that is not followed.
        TimeoutError: the answer is not whole in time.
        OSError, ValueError, http.client.HTTPException: there is no answer, or no address that may be asked.
    """
    watch = _Watch(only_public)
    opener = OpenerDirector()
    handlers = [ProxyHandler(), UnknownHandler(), HTTPDefaultErrorHandler(), HTTPErrorProcessor()]
    handlers += [_Plain(watch), _Encrypted(watch), *([HTTPRedirectHandler()] if follow_redirects else [])]
    for handler in handlers:
        opener.add_handler(handler)
    timer = threading.Timer(seconds, watch.expire)
    timer.daemon = True
    timer.start()
    try:
        with opener.open(request, timeout=seconds) as response:
            content: bytes = response.read(max_bytes + 1)
    except HTTPError as error:
        with error:
            kept = io.BytesIO(error.read(_ERROR_BYTES))
        raise HTTPError(error.url, error.code, error.reason, error.headers, kept) from None
    except (OSError, http.client.HTTPException):
        watch.check_time(seconds)
        raise
    finally:
        timer.cancel()
        watch.close()
    watch.check_time(seconds)
    return content


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet, also where it wraps one of version 4."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and any(ip in net for net in _EMBEDDED):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast


class _Watch:
    """Makes the connections of one request, and ends them when its time is up."""

    def __init__(self, only_public: bool) -> None:
        self._only_public = only_public
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._is_over = False

    def connect(
        self, address: tuple[str, int], timeout: float, source: Any = None, *, by_proxy: bool = False
    ) -> socket.socket:
        host, port = address
        failure: OSError = OSError(f"{host} has no address")
        for family, kind, protocol, _, where in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            if not by_proxy:
                self._check(host, str(where[0]))
            connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(timeout)
                self._keep(connection)
                connection.connect(where)
                return connection
            except OSError as error:
                failure = error
                connection.close()
        raise failure

    def check_host(self, host: str) -> None:
        """Refuse a host that a proxy is to ask, if this machine knows a private address of it."""
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError:  # names of the open internet may be known to the proxy alone
            return
        for _, _, _, _, where in found:
            self._check(host, str(where[0]))

    def expire(self) -> None:
        with self._lock:
            self._is_over = True
            for connection in self._sockets:
                with suppress(OSError):  # not connected yet, or no more
                    connection.shutdown(socket.SHUT_RDWR)

    def check_time(self, seconds: float) -> None:
        if self._is_over:
            raise TimeoutError(f"it was not whole within {seconds:g} s")

    def close(self) -> None:
        with self._lock:
            for connection in self._sockets:
                connection.close()
            self._sockets.clear()

    def _keep(self, connection: socket.socket) -> None:
        # A copy: encryption takes the socket over.
        with self._lock:
            self._sockets.append(connection.dup())
            if self._is_over:
                raise TimeoutError("the time was up")

    def _check(self, host: str, address: str) -> None:
        trusted = [name.strip().lower() for name in os.environ.get(TRUSTED_HOSTS, "").split(",")]
        if self._only_public and host.lower() not in trusted and not is_public(address):
            raise ValueError(
                f"{host} is {address}, an address of a private network or of this machine; if that server is yours, "
                f"name its host in the environment variable {TRUSTED_HOSTS}"
            )


Connect = Callable[..., socket.socket]


class _PlainConnection(http.client.HTTPConnection):
    def __init__(self, *args: Any, connect: Connect, **options: Any) -> None:
        super().__init__(*args, **options)
        self._create_connection = connect


class _EncryptedConnection(http.client.HTTPSConnection):
    def __init__(self, *args: Any, connect: Connect, **options: Any) -> None:
        super().__init__(*args, **options)
        self._create_connection = connect


class _Plain(HTTPHandler):
    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self._watch = watch

    def http_open(self, req: Request) -> Any:
        return self.do_open(partial(_PlainConnection, connect=_choose_connect(self._watch, req)), req)


class _Encrypted(HTTPSHandler):
    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self._watch = watch

    def https_open(self, req: Request) -> Any:
        connect = _choose_connect(self._watch, req)
        return self.do_open(partial(_EncryptedConnection, connect=connect, context=ssl.create_default_context()), req)


def _choose_connect(watch: _Watch, request: Request) -> Connect:
    target = urlsplit(request.full_url)
    if request.host == target.netloc:
        return watch.connect
    watch.check_host(target.hostname or "")
    return partial(watch.connect, by_proxy=True)
