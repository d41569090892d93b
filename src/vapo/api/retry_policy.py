"""When a failed request is sent again, and how long to wait before."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from vapo.api.bounds import ResponseTooLargeError
from vapo.api.server_errors import (
    ServerError,
    make_connection_error,
    make_format_error,
    make_status_error,
    make_timeout_error,
)
from vapo.errors import ConfigError

MAX_RETRY_AFTER_S = 600.0
"""A server that asks for a longer wait means a daily limit; the request is given up."""
MAX_BACK_OFF_S = 30.0

_FIRST_S = 0.5
_LEAST_S = 0.05
_TRANSIENT = (408, 409, 425, 429)
"""Statuses that may pass, besides all from 500 on."""
_BUSY = (429, 503, 529)
"""Statuses that fewer requests at a time may avoid."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and how long, a request is sent again.

    Attributes:
        max_retries: further attempts after failures of the server or the connection; being throttled (429) is none.
        max_throttled_s: how long a request is sent again while the server does nothing but throttle.

    Raises:
        ConfigError: a number is out of its range.
    """

    max_retries: int = 8
    max_throttled_s: float = 900.0

    def __post_init__(self) -> None:
        if self.max_retries < 0 or self.max_throttled_s < 0:
            raise ConfigError(
                f"max_retries is {self.max_retries} and max_throttled_s {self.max_throttled_s}; both must be 0 or more"
            )

    def allows(self, failure: Failure, num_failures: int, throttled_s: float) -> bool:
        """Return whether a request is sent again.

        Args:
            failure: its last one.
            num_failures: how often it has failed, being throttled left aside.
            throttled_s: seconds since it was first sent, or since the server last answered any request.
        """
        if not failure.is_transient or num_failures > self.max_retries:
            return False
        return not (failure.is_throttled and throttled_s > self.max_throttled_s)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed.

    Attributes:
        error: to raise if the request is given up.
        retry_after: seconds that the server asks to wait; None if it does not say.
        is_throttled: whether the server only asked to slow down (429).
        is_busy: whether fewer requests at a time would help.
        is_transient: whether the same request may succeed later.
    """

    error: ServerError
    retry_after: float | None = None
    is_throttled: bool = False
    is_busy: bool = False
    is_transient: bool = True


def classify(
    raised: Exception, *, server: str, path: str, model: str | None, timeout_s: float, attempts: int
) -> Failure:
    """Return what went wrong; what is no fault of server or connection is raised.

    Args:
        raised: by the openai package, or in reading the response.
        server: its URL, without password.
        path: what was asked for.
        model: its name; None if the server chose it.
        timeout_s: longest silence.
        attempts: how often it was sent.
    """
    from openai import APIConnectionError, APIStatusError, APITimeoutError

    if isinstance(raised, APITimeoutError):
        return Failure(make_timeout_error(server, path, timeout_s, attempts), is_busy=True)
    cause = raised.__cause__ if isinstance(raised, APIConnectionError) else raised
    if isinstance(cause, ServerError):
        return Failure(cause, is_transient=not isinstance(cause, ResponseTooLargeError))
    if isinstance(raised, APIConnectionError):
        return Failure(make_connection_error(server, raised))
    if isinstance(raised, ValueError):  # of JSON, or of text that is in no encoding
        return Failure(make_format_error(server, path))
    if not isinstance(raised, APIStatusError):
        raise raised
    status, retry_after = raised.status_code, find_retry_after(raised.response.headers)
    error = make_status_error(status, raised.body, server=server, path=path, model=model, attempts=attempts)
    is_transient = (
        (status in _TRANSIENT or status >= 500) and error.may_pass and (retry_after or 0.0) <= MAX_RETRY_AFTER_S
    )
    return Failure(error, retry_after, status == 429, status in _BUSY, is_transient)


def find_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds a server asks to wait; None if it does not say, or no number.

    Args:
        headers: of its response; `Retry-After` is a number of seconds or a date, `Retry-After-Ms` milliseconds.
    """
    named = {name.lower(): value.strip() for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        if name in named:
            try:
                seconds = float(named[name]) / unit
            except ValueError:
                continue
            if math.isfinite(seconds):
                return max(0.0, seconds)
    try:
        return max(0.0, parsedate_to_datetime(named["retry-after"]).timestamp() - time.time())
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def choose_wait(retry_after: float | None, failures: int, rng: random.Random) -> float:
    """Return how many seconds to wait behind the n-th failure in a row: as long as the server asks, or the back-off.

    A server that asks for no wait at all is left to the back-off, or it would be asked a thousand times a second.

    Args:
        retry_after: see `find_retry_after`.
        failures: in a row, this one included.
        rng: for the back-off.
    """
    return max(retry_after, _LEAST_S) if retry_after else back_off(failures, rng)


def back_off(failures: int, rng: random.Random) -> float:
    """Return how many seconds to wait behind the n-th failure in a row.

    0.5 s, doubled each time up to 30 s, less up to a half by chance, so that requests that failed together do not come
    again together.
    """
    return min(MAX_BACK_OFF_S, _FIRST_S * 2 ** min(failures - 1, 20)) * rng.uniform(0.5, 1.0)
