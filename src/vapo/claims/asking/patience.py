"""Send a request again for as long as that makes sense."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from vapo.api.bounds import AnswerTooLargeError
from vapo.api.concessions import LIMIT, find_refused
from vapo.api.refusals import ServerError, tell_nonsense, tell_silence, tell_status, tell_unreachable
from vapo.api.waiting import choose_wait, find_retry_after
from vapo.claims.asking.pace import Pace
from vapo.errors import ConfigError

Result = TypeVar("Result")
Send = Callable[[frozenset[str]], Awaitable[Result]]
"""Sends a request without the options that it is given the names of, and returns the reply."""

LONGEST_WAIT_S = 600.0
"""A server that asks for more means a day's allowance, not a moment's."""

_PASSING = (408, 409, 425, 429)
"""Refusals of a moment, besides all from 500 on."""
_BUSY = (429, 503, 529)
"""Refusals that fewer requests at a time may spare."""


@dataclass(frozen=True, slots=True)
class Setback:
    """What went wrong with a request.

    Attributes:
        error: to raise if it is given up.
        retry_after: seconds that the server asks to wait; None if it does not say.
        is_failure: of the server or the line, and no request to slow down.
        is_busy: whether fewer requests at a time would help.
        may_pass: whether the same request may succeed later.
    """

    error: ServerError
    retry_after: float | None = None
    is_failure: bool = True
    is_busy: bool = False
    may_pass: bool = True


class Patience:
    """Send requests to one server, each until it is answered or is not worth another try.

    Args:
        pace: when requests may begin.
        server: its URL, without password, for messages.
        model: the model's name, for messages.
        timeout_s: longest silence, in seconds, for messages.
        max_retries: further attempts after failures of the server or the line. Being told to slow down (429) is none.
        patience_s: how long a request is sent again while the server does nothing but refuse.

    Raises:
        ConfigError: a number is out of its range.
    """

    def __init__(
        self, pace: Pace, server: str, model: str | None, timeout_s: float, max_retries: int, patience_s: float
    ) -> None:
        if max_retries < 0 or not timeout_s > 0 or patience_s < 0:
            raise ConfigError(
                f"timeout_s is {timeout_s}, max_retries {max_retries} and patience_s {patience_s}; they must be above "
                "0, at least 0 and at least 0"
            )
        self._pace = pace
        self._server = server
        self._model = model
        self._timeout_s = timeout_s
        self._max_retries = max_retries
        self._patience_s = patience_s
        self._refused: frozenset[str] = frozenset()
        self._last_success = time.monotonic()
        self._luck = random.Random(0)

    async def call(self, send: Send[Result], path: str, *, max_retries: int | None = None) -> Result:
        """Return what `send` returns.

        Args:
            send: makes one attempt; told which options the server does not take.
            path: what it asks for, for messages.
            max_retries: in place of the usual number.

        Raises:
            ServerError: there is no reply; `may_pass` tells whether other requests may fare better.
        """
        began, setbacks, failures = time.monotonic(), 0, 0
        of_this: frozenset[str] = frozenset()
        max_retries = self._max_retries if max_retries is None else max_retries
        while True:
            left_out = self._refused | of_this
            async with self._pace.turn() as started:
                try:
                    reply = await send(left_out)
                except Exception as raised:
                    setback = self._judge(raised, path, setbacks + 1)
                    if setback.is_busy:
                        self._pace.slow_down(started, setback.retry_after if setback.may_pass else None)
                else:
                    self._pace.speed_up()
                    self._last_success = time.monotonic()
                    return reply
            if refused := find_refused(setback.error, left_out):
                of_this |= refused
                self._refused |= refused - {LIMIT}
                continue
            setbacks += 1
            failures += setback.is_failure
            waited = time.monotonic() - max(began, self._last_success)
            if (
                not setback.may_pass
                or failures > max_retries
                or (not setback.is_failure and waited > self._patience_s)
            ):
                raise setback.error
            await asyncio.sleep(choose_wait(setback.retry_after, setbacks, self._luck))

    def _judge(self, raised: Exception, path: str, attempts: int) -> Setback:
        """Return what went wrong; what is no fault of server or line is raised."""
        from openai import APIConnectionError, APIStatusError, APITimeoutError

        if isinstance(raised, APITimeoutError):
            return Setback(tell_silence(self._server, path, self._timeout_s, attempts), is_busy=True)
        cause = raised.__cause__ if isinstance(raised, APIConnectionError) else raised
        if isinstance(cause, ServerError):
            return Setback(cause, may_pass=not isinstance(cause, AnswerTooLargeError))
        if isinstance(raised, APIConnectionError):
            return Setback(tell_unreachable(self._server, raised))
        if isinstance(raised, ValueError):  # of JSON, or of text that is in no encoding
            return Setback(tell_nonsense(self._server, path))
        if not isinstance(raised, APIStatusError):
            raise raised
        status, retry_after = raised.status_code, find_retry_after(raised.response.headers)
        error = tell_status(status, raised.body, server=self._server, path=path, model=self._model, attempts=attempts)
        passes = (status in _PASSING or status >= 500) and error.may_pass and (retry_after or 0.0) <= LONGEST_WAIT_S
        return Setback(error, retry_after, is_failure=status != 429, is_busy=status in _BUSY, may_pass=passes)
