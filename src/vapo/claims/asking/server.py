"""Ask a model behind an OpenAI-compatible server, many requests at a time.

What is received is handed on byte for byte, but for the key: it comes from the environment and is in nothing that is
handed on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from vapo.api.address import CHAT, EMBEDDINGS, MODELS, find_api, hide_password
from vapo.api.clients import open_async_client
from vapo.api.concessions import leave_out
from vapo.api.prices import Prices
from vapo.api.refusals import ServerError, tell_nonsense
from vapo.api.replies import (
    choose_model,
    count_tokens,
    parse_json,
    read_cost,
    read_embeddings,
    read_finish_reason,
    take_choice,
)
from vapo.claims.asking.pace import Pace
from vapo.claims.asking.patience import Patience
from vapo.claims.asking.pictures import write_message
from vapo.claims.store.requests import RawAnswer
from vapo.claims.store.subjects import StoredImage
from vapo.errors import ModelError


class ModelServer:
    """A model behind a server; use it as a context manager inside one event loop.

    Args:
        url: for example `http://localhost:8000` or `https://api.openai.com/v1`.
        model: its name there; None takes the only one.
        concurrency: requests under way at a time, at most.
        prices: of its tokens; None takes what the server says that an answer cost, if it does.
        timeout_s: longest silence of the server, in seconds, before a request is sent again; a whole answer may take
            four times as long.
        max_retries, patience_s: see `Patience`.

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
        patience_s: float = 900.0,
    ) -> None:
        self._api = find_api(url)
        self.server = hide_password(self._api.removesuffix("/v1"))
        self.pace = Pace(concurrency)
        self.prices = prices
        self._patience = Patience(self.pace, self.server, model, timeout_s, max_retries, patience_s)
        self._model = model
        self._client = open_async_client(self._api, timeout_s)

    async def __aenter__(self) -> ModelServer:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    @property
    def model(self) -> str:
        """The model's name; known if it was given, or once `connect` was awaited."""
        if self._model is None:
            raise ModelError("the server was not asked for its model yet; await connect() first")
        return self._model

    async def connect(self) -> None:
        """Check that the server is there, takes the key and has the model.

        Raises:
            ServerError: it is not, does not, or has not.
        """
        try:
            reply = await self._patience.call(lambda _: self._get(MODELS), MODELS, max_retries=2)
        except ServerError as error:
            if error.status in (404, 405) and self._model is not None:
                return  # a server without a list; a wrong name shows at the first request
            raise
        self._model = str(choose_model(reply, self._model, self.server)["id"])

    async def ask(
        self, instruction: str, images: Sequence[StoredImage], options: Mapping[str, Any], *, beginning: str = ""
    ) -> RawAnswer:
        """Return what the model answers to an instruction about pictures.

        Args:
            instruction: the text before the pictures.
            images: the pictures.
            options: of the request, such as temperature and seed. What the server refuses of them is left out.
            beginning: of the model's own turn, which it goes on with; only some servers can, such as vLLM.

        Raises:
            ServerError: there is no answer; `may_pass` tells whether others may fare better.
        """
        began = time.monotonic()
        message = write_message(instruction, images)
        body = {"model": self.model, "messages": [message], **options}
        if beginning:
            body["messages"] = [message, {"role": "assistant", "content": beginning}]
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        completion = await self._patience.call(lambda left_out: self._complete(body, left_out), CHAT)
        prompt_tokens, completion_tokens = count_tokens(completion.reply)
        return RawAnswer(
            body=completion.content,
            seconds=time.monotonic() - began,
            finish_reason=read_finish_reason(take_choice(completion.reply)),
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            usd=self._find_cost(completion.reply, prompt_tokens, completion_tokens),
        )

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        """Return the embeddings of texts, by a model of the same server. Raises ServerError."""
        body = {"model": model, "input": list(texts), "encoding_format": "float"}
        reply = await self._patience.call(lambda _: self._post(EMBEDDINGS, body), EMBEDDINGS)
        vectors = read_embeddings(reply)
        if len(vectors) != len(texts):
            raise ServerError(
                f"the server at {self.server} gave {len(vectors)} embeddings of {len(texts)} texts; use another model"
            )
        return vectors

    async def _get(self, path: str) -> Mapping[str, Any]:
        return self._check(await self._client.get(path, cast_to=object), path)

    async def _post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._check(await self._client.post(path, body=body, cast_to=object), path)

    async def _complete(self, body: Mapping[str, Any], left_out: frozenset[str]) -> _Completion:
        from openai import HttpxBinaryResponseContent

        # Not by `chat.completions`, which looks at every word of a request and takes as long again as sending it.
        sent = leave_out(body, left_out)
        content = (await self._client.post(CHAT, body=sent, cast_to=HttpxBinaryResponseContent)).content
        reply = self._check(parse_json(content), CHAT)
        take_choice(reply)
        return _Completion(content, reply)

    def _check(self, reply: object, path: str) -> Mapping[str, Any]:
        if not isinstance(reply, Mapping):
            raise tell_nonsense(self.server, path)
        return cast("Mapping[str, Any]", reply)

    def _find_cost(self, reply: Mapping[str, Any], prompt_tokens: int, completion_tokens: int) -> float:
        if self.prices is not None:
            return self.prices.cost(prompt_tokens, completion_tokens)
        return read_cost(reply)


@dataclass(frozen=True, slots=True)
class _Completion:
    content: bytes
    reply: Mapping[str, Any]
