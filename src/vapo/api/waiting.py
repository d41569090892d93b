"""How long to wait before a server is asked again."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

MAX_BACK_OFF_S = 30.0
_FIRST_S = 0.5


def find_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds a server asks to wait; None if it does not say.

    Args:
        headers: of its answer; `Retry-After` is a number of seconds or a date, `Retry-After-Ms` milliseconds.
    """
    named = {name.lower(): value.strip() for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        if name in named:
            try:
                return max(0.0, float(named[name]) / unit)
            except ValueError:
                pass
    try:
        return max(0.0, parsedate_to_datetime(named["retry-after"]).timestamp() - time.time())
    except (KeyError, ValueError, TypeError):
        return None


def back_off(failures: int, rng: random.Random) -> float:
    """Return how many seconds to wait behind the n-th failure in a row.

    0.5 s, doubled each time up to 30 s, less up to a half by chance, so that requests that failed together do not come
    again together.
    """
    return min(MAX_BACK_OFF_S, _FIRST_S * 2 ** min(failures - 1, 20)) * rng.uniform(0.5, 1.0)
