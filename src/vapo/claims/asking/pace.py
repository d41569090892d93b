"""How many requests are under way at a time: as many as the user allows, fewer where the server has had enough."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from vapo.errors import ConfigError


class Pace:
    """Let requests begin one by one.

    The limit is halved when the server says that it is too busy, at most once for the requests that were under way
    then, and grows by one for every round of requests that succeed, up to `most`. This is how TCP shares a line.

    Args:
        most: requests under way at a time, at least 1.

    Raises:
        ConfigError: `most` is below 1.
    """

    def __init__(self, most: int) -> None:
        if most < 1:
            raise ConfigError(f"the concurrency is {most}; it must be at least 1")
        self.most = most
        self.limit = float(most)
        self.in_flight = 0
        self._slowed_at = -1.0
        self._paused_until = 0.0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[float]:
        """Wait for a turn, take it for as long as the context lasts, and give the time at which it began."""
        async with self._changed:
            while self.in_flight >= max(1, int(self.limit)):
                await self._changed.wait()
            self.in_flight += 1
        try:
            while (pause := self._paused_until - time.monotonic()) > 0:
                await asyncio.sleep(pause)
            yield time.monotonic()
        finally:
            self.in_flight -= 1
            async with self._changed:
                self._changed.notify(max(1, int(self.limit) - self.in_flight))

    def slow_down(self, began: float, wait_s: float | None = None) -> None:
        """Halve the limit, as a request that began at `began` was refused; begin none for `wait_s` seconds."""
        if wait_s is not None:
            self._paused_until = max(self._paused_until, time.monotonic() + wait_s)
        if began > self._slowed_at:
            self.limit = max(1.0, self.limit / 2)
            self._slowed_at = time.monotonic()

    def speed_up(self) -> None:
        """Let the limit grow, as a request has succeeded."""
        self.limit = min(float(self.most), self.limit + 1 / self.limit)
