"""Clients of the openai package whose answers are bounded in bytes and seconds, hold no key, and lead nowhere else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from importlib import import_module
from typing import TYPE_CHECKING, Any

from vapo.api.address import CHAT, EMBEDDINGS, MODELS, read_key
from vapo.api.bounds import ACCEPTED_ENCODINGS, DEADLINE_SHARE, MAX_ANSWER_BYTES, MAX_FEATURES_BYTES, Collected
from vapo.api.redaction import redact_bytes
from vapo.errors import ModelError

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI


def open_client(api: str, timeout_s: float, max_retries: int) -> OpenAI:
    """Return a client; several threads may use it.

    Args:
        api: where the endpoints are.
        timeout_s: longest silence, in seconds; a whole answer may take four times as long.
        max_retries: further attempts.

    Raises:
        ModelError: the openai package is missing.
    """
    return _import_openai().OpenAI(**_describe(api, timeout_s, max_retries), http_client=_bound(timeout_s))


def open_async_client(api: str, timeout_s: float) -> AsyncOpenAI:
    """Return a client that tries once, for use in one event loop; see `open_client`."""
    return _import_openai().AsyncOpenAI(**_describe(api, timeout_s, 0), http_client=_bound_async(timeout_s))


def _import_openai() -> Any:
    try:
        return import_module("openai")
    except ImportError as error:
        raise ModelError("models behind a server need the openai package; pip install 'vapo[server]'") from error


def _describe(api: str, timeout_s: float, max_retries: int) -> dict[str, Any]:
    # vLLM without --api-key takes any key.
    return {"base_url": api, "api_key": read_key() or "none", "timeout": timeout_s, "max_retries": max_retries}


def _find_http(client: type[Any]) -> Any:
    """Return the library that the openai package is built on: httpx, or from its version 3 on httpx2."""
    return import_module(client.__mro__[1].__module__.partition(".")[0])


def _start(request: Any, seconds: float) -> Collected:
    path = str(request.url.path)
    return Collected(MAX_ANSWER_BYTES if path.endswith((CHAT, MODELS, EMBEDDINGS)) else MAX_FEATURES_BYTES, seconds)


def _finish(response: Any, collected: Collected, http: Any) -> Any:
    content = collected.unpack(response.headers.get("content-encoding", ""))
    if len(content) <= MAX_ANSWER_BYTES:  # more is features, in which nothing can be read
        content = redact_bytes(content)
    headers = [
        (name, value)
        for name, value in response.headers.multi_items()
        if name.lower() not in ("content-encoding", "content-length", "transfer-encoding")
    ]
    return http.Response(response.status_code, headers=headers, content=content, request=response.request)


def _tell_late(request: Any, http: Any) -> Exception:
    return http.ReadTimeout("the answer was not whole in time", request=request)


def _bound(timeout_s: float) -> Any:
    base: Any = _import_openai().DefaultHttpxClient
    receive: Any = base.send
    http, seconds = _find_http(base), DEADLINE_SHARE * timeout_s

    class BoundedClient(base):
        def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
            del stream  # nothing is handed on before all of it was looked at

            def work() -> Any:
                collected = _start(request, seconds)
                response: Any = receive(self, request, stream=True, **{**options, "follow_redirects": False})
                try:
                    for chunk in response.iter_raw():
                        collected.add(chunk)
                finally:
                    response.close()
                return _finish(response, collected, http)

            try:  # headers that trickle in keep a socket busy for ever; whoever waits must not
                return _wait(work, seconds)
            except TimeoutError:
                raise _tell_late(request, http) from None

        def __del__(self) -> None:
            self.close()

    return BoundedClient(timeout=timeout_s, headers={"Accept-Encoding": ACCEPTED_ENCODINGS})


def _bound_async(timeout_s: float) -> Any:
    base: Any = _import_openai().DefaultAsyncHttpxClient
    receive: Any = base.send
    http, seconds = _find_http(base), DEADLINE_SHARE * timeout_s

    class BoundedClient(base):
        async def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
            del stream
            collected = _start(request, seconds)
            try:
                async with asyncio.timeout(seconds):
                    response: Any = await receive(self, request, stream=True, **{**options, "follow_redirects": False})
                    try:
                        async for chunk in response.aiter_raw():
                            collected.add(chunk)
                    finally:
                        await response.aclose()
            except TimeoutError:
                raise _tell_late(request, http) from None
            return _finish(response, collected, http)

    return BoundedClient(timeout=timeout_s, headers={"Accept-Encoding": ACCEPTED_ENCODINGS})


def _wait(work: Callable[[], Any], seconds: float) -> Any:
    """Return what `work` returns, done in a thread that is left alone once the time is up.

    Raises:
        TimeoutError: it is.
    """
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future.result(seconds)
