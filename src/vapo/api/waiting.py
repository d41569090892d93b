"""How long to wait before a server is asked again."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

MAX_BACK_OFF_S = 30.0
_FIRST_S = 0.5
_LEAST_S = 0.05


def find_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds a server asks to wait; None if it does not say, or no number.

    Args:
        headers: of its answer; `Retry-After` is a number of seconds or a date, `Retry-After-Ms` milliseconds.
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
