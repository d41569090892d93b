"""Make claims about the rows of a data set, many at a time, and keep them in a store as they come.

The same call goes on where an earlier one was stopped, whatever stopped it: what was answered is not asked again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterable, Sized
from contextlib import contextmanager, suppress

from vapo.api.server_errors import ServerError
from vapo.claims.filters.likeness import Embedder
from vapo.claims.making.budget import Purse
from vapo.claims.making.ending import Ending, ended_by_user, run_interruptibly
from vapo.claims.making.inquiry import Inquiry
from vapo.claims.making.intake import Arrival, Intake, Row
from vapo.claims.making.settings import MakingSettings
from vapo.claims.making.standing import Outcome
from vapo.claims.making.tally import Tally
from vapo.claims.making.witness import Witness
from vapo.claims.store.store import Store, StoreError
from vapo.claims.store.workers import (
    BEAT_S,
    beat,
    dismiss_worker,
    free_dead_workers,
    register_worker,
    release_subject,
    take_subject,
)
from vapo.errors import VapoError

Progress = Callable[[Tally], None]
"""Called whenever a row is done."""

_AHEAD = 16  # rows made ready while others wait for their answers, at most
_POLL_S = 1.0


def make_claims(
    rows: Iterable[Row],
    store: Store,
    witness: Witness,
    settings: MakingSettings = MakingSettings(),
    *,
    embedder: Embedder | None = None,
    on_progress: Progress | None = None,
    on_notice: Callable[[str], None] = lambda notice: None,
) -> Tally:
    """Make claims about the pictures of rows.

    A first interrupt (Ctrl-C) ends it when the requests under way are answered, a second one at once.

    Args:
        rows: what to make claims about, read as their turn comes.
        store: where everything is kept.
        witness: who is asked.
        settings: what for.
        embedder: finds claims that say the same in other words; None finds those in the same words only.
        on_progress: told how far it is.
        on_notice: told that it is about to end.

    Returns:
        What became of the rows.

    Raises:
        ConfigError: the budget cannot be kept.
        ServerError: nobody can be asked, or any more.
        StoreError: the store cannot be written, or the disk is nearly full.
        KeyboardInterrupt: it was interrupted twice.
    """

    async def run() -> Tally:
        ending = Ending(store.path, settings.budget, witness.limiter)
        tally = Tally(total=len(rows) if isinstance(rows, Sized) else None)
        with ended_by_user(ending, on_notice):
            async with witness:
                await witness.connect()
                with _working_on(store) as worker:
                    purse = Purse(
                        store,
                        worker,
                        settings.budget,
                        witness.prices,
                        max_tokens=settings.max_tokens,
                        max_pixels=settings.max_pixels,
                    )
                    inquiry = Inquiry(store, worker, witness, settings, purse, ending, tally, embedder)
                    intake = Intake(rows, store, settings.max_pixels)
                    await _Making(store, worker, inquiry, intake, ending, tally, on_progress).run(
                        witness.limiter.max_concurrent, settings.max_failures
                    )
        if ending.error is not None:
            raise ending.error
        return tally

    return run_interruptibly(run())


class _Making:
    """One run."""

    def __init__(
        self,
        store: Store,
        worker: int,
        inquiry: Inquiry,
        intake: Intake,
        ending: Ending,
        tally: Tally,
        on_progress: Progress | None,
    ) -> None:
        self._store = store
        self._worker = worker
        self._inquiry = inquiry
        self._intake = intake
        self._ending = ending
        self._tally = tally
        self._on_progress = on_progress
        self._busy: set[int] = set()
        self._later: list[Arrival] = []  # rows whose subjects are being worked on, here or by another process
        self._failures = 0  # in a row
        self._max_failures = 1

    async def run(self, concurrency: int, max_failures: int) -> None:
        """Work until all rows are done, or the ending is near.

        Args:
            concurrency: requests under way at a time.
            max_failures: pictures in a row without an answer after which no more are asked about.
        """
        self._max_failures = max_failures
        heart = asyncio.create_task(self._beat())
        try:
            hands = concurrency + min(concurrency, _AHEAD)
            await asyncio.gather(*(self._work() for _ in range(hands)))
            while self._later and not self._ending.is_near:
                await self._take_up_again()
        finally:
            heart.cancel()
            with suppress(asyncio.CancelledError):
                await heart
        for arrival in self._later:
            self._count(arrival, Outcome("untouched", self._ending.why))
        left = (self._tally.total or 0) - sum(self._tally.fates.values())
        if left > 0:
            self._tally.fates["untouched"] += left
        self._tally.ended = self._ending.why

    async def _work(self) -> None:
        try:
            while not self._ending.is_near:
                arrival = await self._intake.take()
                if arrival is None:
                    return
                await self._deal_with(arrival)
        except VapoError as error:
            self._ending.announce(str(error), error)

    async def _deal_with(self, arrival: Arrival) -> None:
        if arrival.subject is None:
            self._count(arrival, Outcome("unreadable", arrival.why))
            return
        outcome = self._inquiry.find_outcome(arrival.subject)
        if outcome is None:
            if not self._take(arrival.subject):
                self._later.append(Arrival(arrival.row, arrival.subject))
                return
            try:
                outcome = await self._inquiry.pursue(arrival.subject, arrival.images)
            finally:
                self._busy.discard(arrival.subject)
                release_subject(self._store, self._worker, arrival.subject)
            self._watch_failures(outcome)
        self._count(arrival, outcome)

    async def _take_up_again(self) -> None:
        """Look again at rows that somebody was working on."""
        waiting, self._later = self._later, []
        for arrival in waiting:
            await self._deal_with(arrival)
        if self._later:
            await asyncio.sleep(_POLL_S)

    def _take(self, subject: int) -> bool:
        if subject in self._busy:
            return False
        with self._store.writing():
            taken = take_subject(self._store, self._worker, subject)
        if taken:
            self._busy.add(subject)
        return taken

    def _watch_failures(self, outcome: Outcome) -> None:
        self._failures = self._failures + 1 if outcome.fate == "unanswered" else 0
        if self._failures >= self._max_failures:
            why = f"{self._failures} pictures in a row got no answer"
            self._ending.announce(
                why,
                ServerError(
                    f"{why}; of the last one: {outcome.why}. Nothing is lost: check that the model sees images and "
                    "that the server is well, and give the same command again"
                ),
            )

    def _count(self, arrival: Arrival, outcome: Outcome) -> None:
        self._tally.add(outcome.fate, arrival.row, outcome.why)
        if self._on_progress is not None:
            self._on_progress(self._tally)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            with self._store.writing():
                beat(self._store, self._worker)
                free_dead_workers(self._store)


@contextmanager
def _working_on(store: Store) -> Generator[int]:
    """Be a worker of a store."""
    worker = register_worker(store)
    try:
        yield worker
    finally:
        with suppress(
            StoreError
        ):  # of a full disk, which was told already; the next worker finds that this one is gone
            dismiss_worker(store, worker)
