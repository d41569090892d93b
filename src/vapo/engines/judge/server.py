"""A judge's server: found at once, and asked without what it does not take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any

from vapo.api.concessions import find_refused, leave_out
from vapo.api.refusals import ServerError
from vapo.api.replies import count_tokens, read_content, take_choice, take_message
from vapo.engines.judge.cache import JudgeAnswer
from vapo.engines.servers.connection import Item, Result, ServerConnection
from vapo.errors import ModelError


class JudgeServer:
    """Ask a judge. Several threads may.

    Args:
        url: of an OpenAI-compatible server.
        model: its name there; None takes the only one.
        options: of `ServerConnection`.

    Raises:
        ServerError: there is no server, no such model, or the key is wrong.
    """

    def __init__(self, url: str, model: str | None, **options: Any) -> None:
        self._connection = ServerConnection(url, model, **options)
        self._connection.find_model()
        self._refused: frozenset[str] = frozenset()
        self._lock = Lock()

    @property
    def model(self) -> str:
        """Its name on the server."""
        return self._connection.model

    @property
    def address(self) -> dict[str, str]:
        """What tells it from other judges."""
        return {"url": self._connection.url, "model": self.model}

    def map(self, call: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return `call` of each item, in order; see `ServerConnection.map`."""
        return self._connection.map(call, items)

    def ask(self, body: Mapping[str, Any]) -> JudgeAnswer:
        """Return the judge's answer. What the server refuses is left out from then on.

        Raises:
            ServerError: it refuses for another reason, or no answer came.
            ModelError: the judge declines.
        """
        while True:
            refused = self._refused
            try:
                return _read_answer(self._connection.chat(leave_out(dict(body), refused), needs_choice=False))
            except ServerError as error:
                named = find_refused(error, refused)
                if not named:
                    raise
                with self._lock:
                    self._refused |= named


def _read_answer(reply: dict[str, Any]) -> JudgeAnswer:
    try:
        message = take_message(take_choice(reply))
    except ServerError:  # an answer that says nothing
        message = {}
    if message.get("refusal"):
        raise ModelError(f"the judge refuses: {str(message['refusal'])[:200]}")
    return JudgeAnswer(read_content(message), *count_tokens(reply))
