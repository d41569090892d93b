"""A `ModelClient` for callers without an event loop: several threads may use it."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

from vapo.api.client import ModelClient

RENDER, GENERATE = "/v1/chat/completions/render", "/inference/v1/generate"
"""Where vLLM makes features of images, and answers token ids that are paired with them."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class ServerConnection:
    """Ask one model of one server.

    Args:
        url: for example `http://localhost:8000` or `https://api.openai.com/v1`.
        model: its name there; None takes the only one.
        concurrency: requests in flight at a time, at most.
        options: of `ModelClient`.

    Raises:
        ConfigError: the URL is none, or a number is out of its range.
        ModelError: the openai package is missing.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        *,
        concurrency: int = 16,
        timeout_s: float = 600.0,
        max_retries: int = 5,
        **options: Any,
    ) -> None:
        self._client = ModelClient(
            url, model, concurrency=concurrency, timeout_s=timeout_s, max_retries=max_retries, **options
        )
        self.url = self._client.server
        self.concurrency = concurrency
        self._lock = threading.Lock()
        weakref.finalize(self, _close, self._client).atexit = False

    @property
    def model(self) -> str:
        """The model's name on the server."""
        return str(self.find_model()["id"])

    def find_model(self) -> Mapping[str, Any]:
        """Return what the server's list of models says of the model; asked once. Raises ServerError."""
        with self._lock:
            return _run(self._client.connect())

    def list_models(self) -> dict[str, Any]:
        """Return the server's list of models. Raises ServerError."""
        return _run(self._client.list_models())

    def chat(
        self, body: Mapping[str, Any], *, optional: Collection[str] = (), needs_choice: bool = True
    ) -> dict[str, Any]:
        """Return the response to a chat completion; see `ModelClient.chat`."""
        self.find_model()
        return _run(self._client.chat(body, optional=optional, needs_choice=needs_choice))[1]

    def post(self, path: str, body: Mapping[str, Any], *, retry: bool = True) -> dict[str, Any]:
        """Return the response of an endpoint of vLLM's own; see `ModelClient.post`."""
        if "model" not in body:
            self.find_model()
        return _run(self._client.post(path, body, retry=retry))

    def map(self, call: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return `call` of each item, in order, several at a time; an error drops what has not begun."""
        if not items:
            return []
        pool = ThreadPoolExecutor(min(self.concurrency, len(items)))
        try:
            return list(pool.map(call, items))
        finally:
            pool.shutdown(cancel_futures=True)


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    future = asyncio.run_coroutine_threadsafe(work, _start_loop(os.getpid()))
    try:
        return future.result()
    finally:
        future.cancel()  # where this thread was interrupted


@cache
def _start_loop(pid: int) -> asyncio.AbstractEventLoop:
    """Return the event loop of this process's connections, which runs in a thread of its own."""
    del pid  # a forked process has none of its parent's threads
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="vapo server connections", daemon=True).start()
    return loop


def _close(client: ModelClient) -> None:
    loop = _start_loop(os.getpid())
    loop.call_soon_threadsafe(lambda: loop.create_task(client.close()))
