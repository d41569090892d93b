"""When to send no more requests: the user interrupts, the budget or the disk is used up, or something is broken."""

from __future__ import annotations

import asyncio
import shutil
import signal
import threading
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from vapo.api.rate_limiter import RateLimiter
from vapo.api.server_errors import ServerError
from vapo.claims.making.budget import Budget, BudgetTracker
from vapo.claims.making.counts import INTERRUPTED
from vapo.claims.store.store import StoreError

Result = TypeVar("Result")

LEAST_FREE_BYTES = 64 * 1024 * 1024
"""Left on the disk for the responses of requests in flight: room for some thousands."""


class StopSignal:
    """Say when to stop. Requests in flight are still waited for, and their responses kept.

    Args:
        store: the store's file.
        budget: what may be spent; None for no limit.
        limiter: of the requests; closed with this signal, so that those that wait for a slot are not sent.
    """

    def __init__(self, store: Path, budget: Budget | None = None, limiter: RateLimiter | None = None) -> None:
        self.why = ""
        self.error: BaseException | None = None
        self._limiter = limiter
        self._folder = store.resolve().parent
        self._budget = budget
        self._released = asyncio.Event()

    @property
    def is_set(self) -> bool:
        """Whether to send no more requests."""
        if not self.why and shutil.disk_usage(self._folder).free < LEAST_FREE_BYTES:
            self.set(
                f"the disk of {self._folder} is nearly full",
                StoreError(
                    f"less than {LEAST_FREE_BYTES // 2**20} MiB are free on the disk of {self._folder}. No answer was "
                    "lost: free some space and give the same command again"
                ),
            )
        return bool(self.why)

    def set(self, why: str, error: BaseException | None = None) -> None:
        """Send no more requests from now on.

        Args:
            why: in words; the first reason stays.
            error: to be raised when all that is under way is done.
        """
        self.why = self.why or why
        self.error = self.error or error
        self._released.set()
        if self._limiter is not None:
            self._limiter.close()

    async def wait_for_budget(self, tracker: BudgetTracker) -> bool:
        """Wait until the budget may have room for another request; return False if there will be none."""
        if self.is_set:
            return False
        if not tracker.waits:
            self.set(f"the budget of {self._budget} is used up")
            return False
        self._released.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._released.wait(), timeout=1.0)  # other processes' answers set no event of ours
        return not self.is_set

    def release_budget(self) -> None:
        """Say that a request is over, and what was reserved for it may be spent."""
        self._released.set()


class FailureStreak:
    """Stop a run whose requests fail one after the other.

    Args:
        stop: set when there are too many.
        max_failures: requests in a row without a response after which the server counts as broken.
        what: they are about, in the plural, for messages.
        advice: what to check.
    """

    def __init__(self, stop: StopSignal, max_failures: int, what: str, advice: str) -> None:
        self._stop = stop
        self._max_failures = max_failures
        self._what = what
        self._advice = advice
        self._length = 0

    def note(self, failure: str | None) -> None:
        """Note why a request got no response; None if it got one."""
        self._length = 0 if failure is None else self._length + 1
        if self._length >= self._max_failures:
            why = f"{self._length} {self._what} in a row got no answer"
            self._stop.set(
                why,
                ServerError(
                    f"{why}; of the last one: {failure}. Nothing is lost: check {self._advice}, and give the same "
                    "command again"
                ),
            )


def run_interruptibly(work: Coroutine[Any, Any, Result]) -> Result:
    """Run work that `stopping_on_interrupt` may cancel; if it was cancelled, KeyboardInterrupt is raised."""
    try:
        return asyncio.run(work)
    except asyncio.CancelledError as error:
        raise KeyboardInterrupt from error


@contextmanager
def stopping_on_interrupt(stop: StopSignal, on_notice: Callable[[str], None]) -> Generator[None]:
    """End in order when the user interrupts this process, or a scheduler terminates it."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()

    def interrupt() -> None:
        if stop.why == INTERRUPTED:
            assert task is not None
            task.cancel()
            return
        stop.set(INTERRUPTED)
        on_notice("waiting for the answers under way; interrupt again to stop at once, without them")

    signals = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    for number in signals:
        loop.add_signal_handler(number, interrupt)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
