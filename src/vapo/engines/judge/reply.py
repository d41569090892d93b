"""One question put to a judge, without what its server does not take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vapo.api.concessions import find_refused, leave_out
from vapo.api.refusals import ServerError
from vapo.api.replies import count_tokens
from vapo.engines.judge.cache import JudgeAnswer
from vapo.engines.servers.connection import ServerConnection
from vapo.errors import ModelError


def ask(
    connection: ServerConnection, body: Mapping[str, Any], refused: frozenset[str]
) -> tuple[JudgeAnswer, frozenset[str]]:
    """Return the judge's answer, and all that its server is now known to refuse.

    Args:
        connection: to the server.
        body: of the request.
        refused: names of what it refused before, which is left out from the start.

    Raises:
        ServerError: it refuses for another reason, or no answer came.
        ModelError: the judge declines.
    """
    while True:
        try:
            return _read_answer(connection.chat(leave_out(dict(body), refused))), refused
        except ServerError as error:
            named = find_refused(error, refused)
            if not named:
                raise
            refused |= named


def _read_answer(reply: dict[str, Any]) -> JudgeAnswer:
    choices = reply.get("choices") or ({},)
    message = choices[0].get("message") or {}
    if message.get("refusal"):
        raise ModelError(f"the judge refuses: {str(message['refusal'])[:200]}")
    return JudgeAnswer(str(message.get("content") or ""), *count_tokens(reply))
