"""A connection to an OpenAI-compatible server: many requests at a time, and what goes wrong told in sentences.

The key comes from the environment variable OPENAI_API_KEY alone. It is in no message and in no answer, whatever a
server quotes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from vapo.api.address import CHAT, MODELS, find_api, hide_password
from vapo.api.clients import open_client
from vapo.api.refusals import ServerError, tell_nonsense, tell_silence, tell_status, tell_unreachable
from vapo.api.replies import choose_model, parse_json, take_choice
from vapo.errors import ConfigError

Item = TypeVar("Item")
Result = TypeVar("Result")


class ServerConnection:
    """Ask one model of one server.

    Args:
        url: for example `http://localhost:8000` or `https://api.openai.com/v1`.
        model: its name there; None takes the only one.
        timeout_s: longest wait for the server to say anything, in seconds; for a whole answer, four times as long.
        max_retries: further attempts after 408, 409, 429, 5xx, a lost connection, silence or an answer that is none.
            Between them it waits as long as `Retry-After` says (up to two minutes; longer is an error), or half a
            second, doubled each time up to 8 s.
        max_concurrent: requests under way at a time.

    Raises:
        ConfigError: the URL is none, or a number is out of its range.
        ModelError: the openai package is missing.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        *,
        timeout_s: float = 600.0,
        max_retries: int = 5,
        max_concurrent: int = 16,
    ) -> None:
        if max_concurrent < 1 or max_retries < 0 or not timeout_s > 0:
            raise ConfigError(
                f"timeout_s is {timeout_s}, max_retries {max_retries} and max_concurrent {max_concurrent}; they must "
                "be above 0, at least 0 and at least 1"
            )
        self._api = find_api(url)
        self.url = hide_password(self._api.removesuffix("/v1"))
        self.max_concurrent = max_concurrent
        self._timeout_s = timeout_s
        self._max_retries = max_retries
        self._client = open_client(self._api, timeout_s, max_retries)
        self._model = model
        self._found: Mapping[str, Any] | None = None

    @property
    def model(self) -> str:
        """The model's name on the server."""
        return str(self.find_model()["id"])

    def find_model(self) -> Mapping[str, Any]:
        """Return what the server's list of models says of the model; asked once.

        Raises:
            ServerError: there is no server, the key is wrong, or it has no such model.
        """
        if self._found is None:
            self._found = self._look_up()
        return self._found

    def chat(self, body: Mapping[str, Any], *, needs_choice: bool = True) -> dict[str, Any]:
        """Return the reply to a chat completion.

        Args:
            body: the request, but for the model.
            needs_choice: whether a reply without a choice is asked for again.

        Raises:
            ServerError: there is none.
        """
        check = take_choice if needs_choice else len
        return self._call(lambda: self._post(self._api + CHAT, body), CHAT, check)

    def post(self, path: str, body: Mapping[str, Any], *, patient: bool = True) -> dict[str, Any]:
        """Return what an endpoint of vLLM's own answers.

        Args:
            path: counted from above `/v1`.
            body: the request, but for the model.
            patient: whether to try again.

        Raises:
            ServerError: there is no answer.
        """
        return self._call(lambda: self._post(self._api.removesuffix("/v1") + path, body, patient), path)

    def map(self, call: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return `call` of each item, in order, several at a time; an error drops what has not begun."""
        if not items:
            return []
        pool = ThreadPoolExecutor(min(self.max_concurrent, len(items)))
        try:
            return list(pool.map(call, items))
        finally:
            pool.shutdown(cancel_futures=True)

    def _post(self, address: str, body: Mapping[str, Any], patient: bool = True) -> object:
        client = self._client if patient else self._client.with_options(max_retries=0)
        return parse_json(client.post(address, body={"model": self.model, **body}, cast_to=_raw()).content)

    def _look_up(self) -> Mapping[str, Any]:
        try:
            reply = self._call(
                lambda: parse_json(self._client.get(self._api + MODELS, cast_to=_raw()).content), MODELS
            )
        except ServerError as error:
            if error.status in (404, 405) and self._model is not None:
                return {"id": self._model}  # a server without a list; a wrong name shows at the first request
            raise
        return choose_model(reply, self._model, self.url)

    def _call(
        self, send: Callable[[], object], path: str, check: Callable[[dict[str, Any]], object] = len
    ) -> dict[str, Any]:
        from openai import APIConnectionError, APIStatusError, APITimeoutError

        malformed = tell_nonsense(self.url, path)
        for _ in range(self._max_retries + 1):
            try:
                reply = send()
            except APITimeoutError as error:
                raise tell_silence(self.url, path, self._timeout_s, self._max_retries + 1) from error
            except APIConnectionError as error:
                if isinstance(error.__cause__, ServerError):  # of an answer that is out of bounds
                    raise error.__cause__ from None
                raise tell_unreachable(self.url, error) from error
            except APIStatusError as error:
                raise tell_status(
                    error.status_code,
                    error.body,
                    server=self.url,
                    path=path,
                    model=self._model,
                    attempts=self._max_retries + 1,
                ) from error
            except ValueError:  # of JSON, or of text that is in no encoding
                continue
            if isinstance(reply, dict):
                try:
                    check(reply)
                except ServerError as error:
                    malformed = error
                else:
                    return reply
        raise malformed


def _raw() -> Any:
    """Return what makes the openai package hand on an answer as it came, so that it is read here."""
    from openai import HttpxBinaryResponseContent

    return HttpxBinaryResponseContent
