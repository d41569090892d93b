"""A connection to an OpenAI-compatible server: many requests at a time, and what goes wrong told in sentences.

The key comes from the environment variable OPENAI_API_KEY alone. It is in no message, and neither is what a server
answers to a wrong one, as some quote it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from vapo.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from openai import APIStatusError, OpenAI

KEY = "OPENAI_API_KEY"
CHAT = "/chat/completions"
MODELS = "/models"

Item = TypeVar("Item")
Result = TypeVar("Result")


class ServerError(ModelError):
    """A server could not be reached, or refused a request.

    Attributes:
        status: what it answered with; None if it did not answer, or not in JSON.
        detail: what it said.
    """

    def __init__(self, message: str, status: int | None = None, detail: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.detail = detail

    @property
    def may_pass(self) -> bool:
        """Whether another request may succeed all the same: it was late, busy, broken, or did not like this one."""
        return self.status not in (401, 403, 404)


class ServerConnection:
    """Ask one model of one server.

    Args:
        url: for example `http://localhost:8000` or `https://api.openai.com/v1`.
        model: its name there; None takes the only one.
        timeout_s: longest wait for the server to say anything, in seconds.
        max_retries: further attempts after 408, 409, 429, 5xx, a lost connection, silence or an answer that is not
            JSON. Between them it waits as long as `Retry-After` says (up to two minutes; longer is an error), or half
            a second, doubled each time up to 8 s.
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
        self._has_key = bool(os.environ.get(KEY))
        self._client = self._open()
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

    def chat(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the reply to a chat completion. Raises ServerError if there is none."""
        return self._call(lambda: self._post(self._api + CHAT, body), CHAT)

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
        return client.post(address, body={"model": self.model, **body}, cast_to=object)

    def _open(self) -> OpenAI:
        try:
            from openai import OpenAI
        except ImportError as error:
            raise ModelError("models behind a server need the openai package; pip install 'vapo[server]'") from error
        key = os.environ.get(KEY) or "none"  # vLLM without --api-key takes any
        return OpenAI(base_url=self._api, api_key=key, timeout=self._timeout_s, max_retries=self._max_retries)

    def _look_up(self) -> Mapping[str, Any]:
        try:
            reply = self._call(lambda: self._client.get(self._api + MODELS, cast_to=object), MODELS)
        except ServerError as error:
            if error.status in (404, 405) and self._model is not None:
                return {"id": self._model}  # a server without a list; a wrong name shows at the first request
            raise
        entries = [entry for entry in reply.get("data") or () if isinstance(entry, Mapping) and "id" in entry]
        names = [str(entry["id"]) for entry in entries]
        shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        if self._model is None:
            if len(entries) != 1:
                raise ServerError(
                    f"the server at {self.url} has {len(entries)} models ({shown or 'none'}); name the one to ask"
                )
            return entries[0]
        if self._model not in names:
            raise ServerError(f"the server at {self.url} has no model {self._model!r}; it has {shown or 'none'}", 404)
        return entries[names.index(self._model)]

    def _call(self, send: Callable[[], object], path: str) -> dict[str, Any]:
        from openai import APIConnectionError, APIStatusError, APITimeoutError

        for _ in range(self._max_retries + 1):
            try:
                reply = send()
            except APITimeoutError as error:
                raise ServerError(
                    f"the server at {self.url} did not answer {path} within {self._timeout_s:g} s "
                    f"({self._max_retries + 1} attempts); raise the time-out, or ask less at a time"
                ) from error
            except APIConnectionError as error:
                raise ServerError(
                    f"the server at {self.url} cannot be reached ({error.__cause__ or error}); check the URL, and "
                    "that the server is running"
                ) from error
            except APIStatusError as error:
                raise self._tell(error, path) from error
            except (json.JSONDecodeError, UnicodeDecodeError):
                continue
            if isinstance(reply, dict):
                return reply
        raise ServerError(
            f"what answers {path} at {self.url} does not speak JSON; check that the URL is that of an "
            "OpenAI-compatible server, such as http://localhost:8000"
        )

    def _tell(self, error: APIStatusError, path: str) -> ServerError:
        status, detail = error.status_code, _find_detail(error.body)
        who = f"the server at {self.url}"
        if status in (401, 403):
            remedy = f"check {KEY}" if self._has_key else f"put the key into the environment variable {KEY}"
            return ServerError(f"{who} refuses the key ({status}); {remedy}", status)
        said = f": {detail}" if detail else ""
        if status == 404 and self._model is not None and path == CHAT:
            return ServerError(f"{who} has no {path} for the model {self._model!r}{said}", status, detail)
        if status == 429:
            return ServerError(
                f"{who} takes no more requests (429 after {self._max_retries + 1} attempts){said}; check the "
                "account's limits, or ask less at a time",
                status,
                detail,
            )
        return ServerError(f"{who} answered {path} with {status}{said}", status, detail)


def take_choice(reply: Mapping[str, Any]) -> dict[str, Any]:
    """Return the only choice of a reply. Raises ServerError if there is none, as behind some proxies."""
    choices = reply.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        return choices[0]
    detail = _find_detail(reply)
    raise ServerError(
        f"the server answered without a choice{f': {detail}' if detail else ''}; ask again", None, detail
    )


def find_api(url: str) -> str:
    """Return where a server's OpenAI endpoints are: below `/v1`, unless the URL names another folder.

    Raises:
        ConfigError: it is no HTTP URL.
    """
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{hide_password(url)!r} is no URL of a server; write it as http://localhost:8000")
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") or "/v1", "", ""))


def hide_password(url: str) -> str:
    """Return a URL without the name and password that may stand in it."""
    before, at, behind = url.rpartition("@")
    return f"{before.partition('//')[0]}//{behind}" if at else url


def _find_detail(body: object) -> str:
    """Return what an error's body says; OpenAI, vLLM and FastAPI nest it differently."""
    while isinstance(body, Mapping):
        body = next((body[key] for key in ("error", "message", "detail") if body.get(key)), "")
    return " ".join(str(body or "").split())[:500]
