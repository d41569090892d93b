"""Limit the requests in flight: as many as the user allows, fewer while the server is too busy."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from vapo.errors import ConfigError


class LimiterClosedError(Exception):
    """No request may begin any more."""


class RateLimiter:
    """Limit how many requests are in flight.

    The limit is halved when the server says that it is too busy, at most once for the requests that were in
    flight then, and grows by one for every round of requests that succeed, up to `max_concurrent`: additive
    increase, multiplicative decrease, as in TCP.

    Args:
        max_concurrent: requests in flight at a time, at least 1.

    Raises:
        ConfigError: `max_concurrent` is below 1.
    """

    def __init__(self, max_concurrent: int) -> None:
        if max_concurrent < 1:
            raise ConfigError(f"the concurrency is {max_concurrent}; it must be at least 1")
        self.max_concurrent = max_concurrent
        self.limit = float(max_concurrent)
        self.in_flight = 0
        self._is_closed = False
        self._slowed_at = -1.0
        self._paused_until = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def slot(self) -> AsyncGenerator[float]:
        """Wait for a free slot, hold it for as long as the context lasts, and give the time at which it began.

        Raises:
            LimiterClosedError: no request may begin any more.
        """
        while self._free_slots() <= 0:
            await self._wait()
        self._check_open()
        self.in_flight += 1
        try:
            while (pause := self._paused_until - time.monotonic()) > 0:
                await asyncio.sleep(pause)
                self._check_open()
            yield time.monotonic()
        finally:
            self.in_flight -= 1
            self._wake()

    def close(self) -> None:
        """Let no request begin any more; those in flight are not touched."""
        self._is_closed = True
        self._wake()

    def slow_down(self, began: float, wait_s: float | None = None) -> None:
        """Halve the limit, as a request that began at `began` was throttled; begin none for `wait_s` seconds."""
        if wait_s is not None:
            self._paused_until = max(self._paused_until, time.monotonic() + wait_s)
        if began > self._slowed_at:
            self.limit = max(1.0, self.limit / 2)
            self._slowed_at = time.monotonic()

    def speed_up(self) -> None:
        """Let the limit grow, as a request has succeeded."""
        self.limit = min(float(self.max_concurrent), self.limit + 1 / self.limit)

    def _free_slots(self) -> int:
        # Whoever waits when it is closed must wake up.
        return len(self._waiting) + 1 if self._is_closed else max(1, int(self.limit)) - self.in_flight

    def _check_open(self) -> None:
        if self._is_closed:
            raise LimiterClosedError

    async def _wait(self) -> None:
        woken = asyncio.get_running_loop().create_future()
        self._waiting.append(woken)
        try:
            await woken
        except asyncio.CancelledError:
            self._wake()  # the slot, if it was given one, is another's
            raise

    def _wake(self) -> None:
        free = self._free_slots()
        while free > 0 and self._waiting:
            woken = self._waiting.popleft()
            if not woken.done():
                woken.set_result(None)
                free -= 1
