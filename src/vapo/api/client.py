"""A client of one model behind an OpenAI-compatible server, for one event loop.

Many requests may be in flight; each is retried as the policy says. Responses are handed on byte for byte, but for the
key: it comes from the environment variable OPENAI_API_KEY alone, and nothing that is handed on holds it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, cast

from vapo.api.address import CHAT, EMBEDDINGS, MODELS, find_api, hide_password
from vapo.api.http_client import open_http_client
from vapo.api.images import ImageContent, make_image_parts
from vapo.api.optional_parameters import (
    OPTIONAL_PARAMETERS,
    TOKEN_LIMIT,
    drop_parameters,
    find_rejected_parameters,
)
from vapo.api.prices import Prices
from vapo.api.rate_limiter import RateLimiter
from vapo.api.responses import (
    Response,
    choose_model,
    count_tokens,
    parse_json,
    read_cost,
    read_embeddings,
    read_finish_reason,
    take_choice,
)
from vapo.api.retry_policy import RetryPolicy, choose_wait, classify
from vapo.api.server_errors import ServerError, make_format_error
from vapo.errors import ConfigError, ModelError

Received = tuple[bytes, dict[str, Any]]
"""A response's body, and what it says."""

_MODELS_RETRIES = 2  # a wrong URL shows soon


class ModelClient:
    """A model behind a server; use it as a context manager.

    Args:
        url: for example `http://localhost:8000` or `https://api.openai.com/v1`.
        model: its name there; None takes the only one.
        concurrency: requests in flight at a time, at most.
        prices: of its tokens; None takes what the server says that a response cost, if it does.
        timeout_s: longest silence of the server, in seconds, before a request is sent again; a whole response may take
            four times as long.
        max_retries, max_throttled_s: see `RetryPolicy`.

    Raises:
        ConfigError: the URL is none, or a number is out of its range.
        ModelError: the openai package is missing.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        *,
        concurrency: int = 32,
        prices: Prices | None = None,
        timeout_s: float = 300.0,
        max_retries: int = 8,
        max_throttled_s: float = 900.0,
    ) -> None:
        if not timeout_s > 0:
            raise ConfigError(f"timeout_s is {timeout_s}; it must be above 0")
        self._api = find_api(url)
        self.server = hide_password(self._api.removesuffix("/v1"))
        self.limiter = RateLimiter(concurrency)
        self.prices = prices
        self._policy = RetryPolicy(max_retries, max_throttled_s)
        self._timeout_s = timeout_s
        self._model = model
        self._found: Mapping[str, Any] | None = None
        self._http = open_http_client(self._api, timeout_s)
        self._rejected: frozenset[str] = frozenset()  # optional parameters that the server does not support
        self._last_success = time.monotonic()
        self._rng = random.Random(0)

    async def __aenter__(self) -> ModelClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    @property
    def model(self) -> str:
        """The model's name; known if it was given, or once `connect` was awaited."""
        if self._model is None:
            raise ModelError("the server was not asked for its model yet; await connect() first")
        return self._model

    async def connect(self) -> Mapping[str, Any]:
        """Check that the server is there, takes the key and has the model.

        Returns:
            What its list of models says of it; asked once.

        Raises:
            ServerError: it is not, does not, or has not.
        """
        if self._found is None:
            self._found = await self._look_up()
            self._model = str(self._found["id"])
        return self._found

    async def list_models(self) -> dict[str, Any]:
        """Return the server's list of models. Raises ServerError."""

        async def send(_: frozenset[str]) -> Received:
            return self._read((await self._http.get(self._api + MODELS, cast_to=_raw())).content, MODELS)

        return (await self._call(send, MODELS, max_retries=min(_MODELS_RETRIES, self._policy.max_retries)))[1]

    async def ask(
        self, instruction: str, images: Sequence[ImageContent], options: Mapping[str, Any], *, beginning: str = ""
    ) -> Response:
        """Return the model's response to an instruction about images.

        Args:
            instruction: the text before the images.
            images: the images.
            options: of the request, such as temperature and seed. Those that the server rejects are dropped.
            beginning: of the model's own turn, which it continues; only some servers can, such as vLLM.

        Raises:
            ServerError: there is no response; `may_pass` tells whether other requests may succeed.
        """
        began = time.monotonic()
        body: dict[str, Any] = {"messages": [make_message(instruction, images)], **options}
        if beginning:
            body["messages"].append({"role": "assistant", "content": beginning})
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        content, reply = await self.chat(body, optional=OPTIONAL_PARAMETERS)
        prompt_tokens, completion_tokens = count_tokens(reply)
        prices = self.prices
        return Response(
            body=content,
            seconds=time.monotonic() - began,
            finish_reason=read_finish_reason(take_choice(reply)),
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            usd=read_cost(reply) if prices is None else prices.cost(prompt_tokens, completion_tokens),
        )

    async def chat(
        self, body: Mapping[str, Any], *, optional: Collection[str] = (), needs_choice: bool = True
    ) -> Received:
        """Return the response to a chat completion.

        Args:
            body: the request, but for the model.
            optional: parameters to drop where the server rejects them; see `OPTIONAL_PARAMETERS`.
            needs_choice: whether a response without a choice is asked for again.

        Raises:
            ServerError: there is none.
        """
        return await self._post(self._api + CHAT, CHAT, body, optional, take_choice if needs_choice else len)

    async def post(self, path: str, body: Mapping[str, Any], *, retry: bool = True) -> dict[str, Any]:
        """Return the response of an endpoint of vLLM's own.

        Args:
            path: counted from above `/v1`.
            body: the request; the model is added where it names none.
            retry: whether to try again.

        Raises:
            ServerError: there is none.
        """
        retries = None if retry else 0
        return (await self._post(self._api.removesuffix("/v1") + path, path, body, max_retries=retries))[1]

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        """Return the embeddings of texts, by a model of the same server. Raises ServerError."""
        body = {"model": model, "input": list(texts), "encoding_format": "float"}
        vectors = read_embeddings((await self._post(self._api + EMBEDDINGS, EMBEDDINGS, body))[1])
        if len(vectors) != len(texts):
            raise ServerError(
                f"the server at {self.server} gave {len(vectors)} embeddings of {len(texts)} texts; use another model"
            )
        return vectors

    async def _look_up(self) -> Mapping[str, Any]:
        try:
            listed = await self.list_models()
        except ServerError as error:
            if error.status in (404, 405) and self._model is not None:
                return {"id": self._model}  # a server without a list; a wrong name shows at the first request
            raise
        return choose_model(listed, self._model, self.server)

    async def _post(
        self,
        address: str,
        path: str,
        body: Mapping[str, Any],
        optional: Collection[str] = (),
        check: Callable[[dict[str, Any]], object] = len,
        max_retries: int | None = None,
    ) -> Received:
        body = body if "model" in body else {"model": self.model, **body}

        async def send(dropped: frozenset[str]) -> Received:
            # Not by `chat.completions`, which looks at every word of a request and takes as long again as sending it.
            response = await self._http.post(address, body=drop_parameters(body, dropped), cast_to=_raw())
            received = self._read(response.content, path)
            check(received[1])
            return received

        return await self._call(send, path, optional, max_retries)

    def _read(self, content: bytes, path: str) -> Received:
        reply = parse_json(content)
        if not isinstance(reply, dict):
            raise make_format_error(self.server, path)
        return content, cast("dict[str, Any]", reply)

    async def _call(
        self,
        send: Callable[[frozenset[str]], Awaitable[Received]],
        path: str,
        optional: Collection[str] = (),
        max_retries: int | None = None,
    ) -> Received:
        """Return what `send` returns, given the names of the parameters to drop; retried as the policy says."""
        policy = self._policy if max_retries is None else RetryPolicy(max_retries, self._policy.max_throttled_s)
        began, attempts, failures = time.monotonic(), 0, 0
        own: frozenset[str] = frozenset()  # parameters that this request alone is sent without
        while True:
            dropped = (self._rejected | own) & frozenset(optional)
            async with self.limiter.slot() as started:
                try:
                    received = await send(dropped)
                except Exception as raised:
                    failure = classify(
                        raised,
                        server=self.server,
                        path=path,
                        model=self._model,
                        timeout_s=self._timeout_s,
                        attempts=attempts + 1,
                    )
                    if failure.is_busy:
                        self.limiter.slow_down(started, failure.retry_after if failure.is_transient else None)
                else:
                    self.limiter.speed_up()
                    self._last_success = time.monotonic()
                    return received
            if rejected := find_rejected_parameters(failure.error, dropped) & frozenset(optional):
                own |= rejected
                self._rejected |= rejected - {TOKEN_LIMIT}
                continue
            attempts += 1
            failures += not failure.is_throttled
            if not policy.allows(failure, failures, time.monotonic() - max(began, self._last_success)):
                raise failure.error
            await asyncio.sleep(choose_wait(failure.retry_after, attempts, self._rng))


def make_message(instruction: str, images: Sequence[ImageContent]) -> dict[str, Any]:
    """Return the user message that asks about images: the text first, then the images in order."""
    return {"role": "user", "content": [{"type": "text", "text": instruction}, *make_image_parts(images)]}


def _raw() -> Any:
    """Return what makes the openai package hand on a response as it came, so that it is read here."""
    from openai import HttpxBinaryResponseContent

    return HttpxBinaryResponseContent
