"""The HTTP client under the openai package, whose responses are bounded in bytes and seconds, hold no key, and lead
nowhere else."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any

from vapo.api.address import CHAT, EMBEDDINGS, MODELS, read_key
from vapo.api.bounds import ACCEPTED_ENCODINGS, DEADLINE_SHARE, MAX_FEATURES_BYTES, MAX_RESPONSE_BYTES, BoundedBody
from vapo.api.redaction import redact_bytes
from vapo.errors import ModelError

if TYPE_CHECKING:
    from openai import AsyncOpenAI


def open_http_client(api: str, timeout_s: float) -> AsyncOpenAI:
    """Return a client that sends each request once, for use in one event loop.

    Args:
        api: where the endpoints are.
        timeout_s: longest silence, in seconds; a whole response may take four times as long.

    Raises:
        ModelError: the openai package is missing.
    """
    try:
        openai: Any = import_module("openai")
    except ImportError as error:
        raise ModelError("models behind a server need the openai package; pip install 'vapo[server]'") from error
    # vLLM without --api-key takes any key.
    key, http = read_key() or "none", _make_bounded(openai.DefaultAsyncHttpxClient, timeout_s)
    return openai.AsyncOpenAI(base_url=api, api_key=key, timeout=timeout_s, max_retries=0, http_client=http)


def _make_bounded(base: Any, timeout_s: float) -> Any:
    # The library that the openai package is built on: httpx, or from its version 3 on httpx2.
    http: Any = import_module(base.__mro__[1].__module__.partition(".")[0])
    seconds = DEADLINE_SHARE * timeout_s
    receive: Any = base.send

    class BoundedClient(base):
        async def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
            del stream  # nothing is handed on before all of it was looked at
            body = _open_body(request, seconds)
            try:  # headers that trickle in keep a socket busy for ever; whoever waits must not
                async with asyncio.timeout(seconds):
                    response: Any = await receive(self, request, stream=True, **{**options, "follow_redirects": False})
                    try:
                        async for chunk in response.aiter_raw():
                            body.add(chunk)
                    finally:
                        await response.aclose()
            except TimeoutError:
                raise http.ReadTimeout("the response was not whole in time", request=request) from None
            return _finish(response, body, http)

    return BoundedClient(timeout=timeout_s, headers={"Accept-Encoding": ACCEPTED_ENCODINGS})


def _open_body(request: Any, seconds: float) -> BoundedBody:
    path = str(request.url.path)
    return BoundedBody(
        MAX_RESPONSE_BYTES if path.endswith((CHAT, MODELS, EMBEDDINGS)) else MAX_FEATURES_BYTES, seconds
    )


def _finish(response: Any, body: BoundedBody, http: Any) -> Any:
    content = body.unpack(response.headers.get("content-encoding", ""))
    if len(content) <= MAX_RESPONSE_BYTES:  # more is features, in which nothing can be read
        content = redact_bytes(content)
    headers = [
        (name, value)
        for name, value in response.headers.multi_items()
        if name.lower() not in ("content-encoding", "content-length", "transfer-encoding")
    ]
    return http.Response(response.status_code, headers=headers, content=content, request=response.request)
