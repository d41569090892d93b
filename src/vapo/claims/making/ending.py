"""When no more may be asked: the user has had enough, the money or the disk is used up, or something is broken."""

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
from vapo.claims.making.budget import Budget, Purse
from vapo.claims.making.tally import INTERRUPTED
from vapo.claims.store.store import StoreError

Result = TypeVar("Result")

LEAST_FREE_BYTES = 64 * 1024 * 1024
"""Left on the disk for the answers that are under way: room for some thousands."""


class Ending:
    """Tells everybody who asks when to stop. What was asked already is still waited for and kept.

    Args:
        store: the store's file.
        budget: what may be spent; None for no limit.
        pace: of the requests; closed when the end is near, so that those that wait for their turn are not sent.
    """

    def __init__(self, store: Path, budget: Budget | None = None, pace: RateLimiter | None = None) -> None:
        self.why = ""
        self.error: BaseException | None = None
        self._pace = pace
        self._folder = store.resolve().parent
        self._budget = budget
        self._money = asyncio.Event()

    @property
    def is_near(self) -> bool:
        """Whether to ask no more."""
        if not self.why and shutil.disk_usage(self._folder).free < LEAST_FREE_BYTES:
            self.announce(
                f"the disk of {self._folder} is nearly full",
                StoreError(
                    f"less than {LEAST_FREE_BYTES // 2**20} MiB are free on the disk of {self._folder}. No answer was "
                    "lost: free some space and give the same command again"
                ),
            )
        return bool(self.why)

    def announce(self, why: str, error: BaseException | None = None) -> None:
        """Ask no more from now on.

        Args:
            why: in words; the first reason stays.
            error: to be raised when all that is under way is done.
        """
        self.why = self.why or why
        self.error = self.error or error
        self._money.set()
        if self._pace is not None:
            self._pace.close()

    async def wait_for_money(self, purse: Purse) -> bool:
        """Wait until there may be money for another request; return False if there will be none."""
        if self.is_near:
            return False
        if not purse.waits:
            self.announce(f"the budget of {self._budget} is used up")
            return False
        self._money.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._money.wait(), timeout=1.0)  # other processes' answers set no event of ours
        return not self.is_near

    def money_is_back(self) -> None:
        """Say that a request is over, and what was reserved for it may be spent."""
        self._money.set()


def run_interruptibly(work: Coroutine[Any, Any, Result]) -> Result:
    """Run work that `ended_by_user` may cancel; if it was cancelled, KeyboardInterrupt is raised."""
    try:
        return asyncio.run(work)
    except asyncio.CancelledError as error:
        raise KeyboardInterrupt from error


@contextmanager
def ended_by_user(ending: Ending, on_notice: Callable[[str], None]) -> Generator[None]:
    """End in order when the user interrupts this process, or a scheduler terminates it."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()

    def interrupt() -> None:
        if ending.why == INTERRUPTED:
            assert task is not None
            task.cancel()
            return
        ending.announce(INTERRUPTED)
        on_notice("waiting for the answers under way; interrupt again to stop at once, without them")

    signals = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    for number in signals:
        loop.add_signal_handler(number, interrupt)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
