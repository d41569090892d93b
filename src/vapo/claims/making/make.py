"""Make claims about the rows of a data set, many at a time, and keep them in a store as they come.

The same call goes on where an earlier one was stopped, whatever stopped it: what was answered is not asked again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterable, Sequence, Sized
from contextlib import contextmanager, suppress

from vapo.api.client import ModelClient
from vapo.api.prices import Prices
from vapo.claims.filters.similarity import Embedder, LocalEmbedder, ServerEmbedder
from vapo.claims.making.budget import BudgetTracker
from vapo.claims.making.counts import RunCounts
from vapo.claims.making.image_set_state import Outcome
from vapo.claims.making.programs import WholeRow, load_program, make_claims_by_program
from vapo.claims.making.requester import ClaimRun, Requester, VisionModel
from vapo.claims.making.row_loader import LoadedRow, Row, RowLoader
from vapo.claims.making.settings import MakingSettings
from vapo.claims.making.stop_signal import FailureStreak, StopSignal, run_interruptibly, stopping_on_interrupt
from vapo.claims.store.store import Store, StoreError
from vapo.claims.store.workers import (
    HEARTBEAT_S,
    free_dead_workers,
    register_worker,
    release_image_set,
    remove_worker,
    send_heartbeat,
    take_image_set,
)
from vapo.errors import ConfigError, VapoError

Progress = Callable[[RunCounts], None]
"""Called whenever a row is done."""

_AHEAD = 16  # rows made ready while others wait for their answers, at most
_POLL_S = 1.0


def make_claims(
    rows: Iterable[Row],
    store: Store,
    vision_model: VisionModel,
    settings: MakingSettings = MakingSettings(),
    *,
    embedder: Embedder | None = None,
    on_progress: Progress | None = None,
    on_notice: Callable[[str], None] = lambda notice: None,
) -> RunCounts:
    """Make claims about the images of rows.

    A first interrupt (Ctrl-C) ends it when the requests under way are answered, a second one at once.

    Args:
        rows: what to make claims about, read as their turn comes.
        store: where everything is kept.
        vision_model: who is asked.
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

    async def run() -> RunCounts:
        stop = StopSignal(store.path, settings.budget, vision_model.limiter)
        counts = RunCounts(total=len(rows) if isinstance(rows, Sized) else None)
        with stopping_on_interrupt(stop, on_notice):
            async with vision_model:
                await vision_model.connect()
                with _working_on(store) as worker:
                    claim_run = ClaimRun(store, worker, settings, stop, counts)
                    tracker = BudgetTracker(
                        store,
                        worker,
                        settings.budget,
                        vision_model.prices,
                        max_tokens=settings.max_tokens,
                        max_pixels=settings.max_pixels,
                    )
                    requester = Requester(claim_run, vision_model, tracker, embedder)
                    loader = RowLoader(rows, store, settings.max_pixels)
                    making = _Making(claim_run, requester, loader, on_progress)
                    await making.run(vision_model.limiter.max_concurrent)
        if stop.error is not None:
            raise stop.error
        return counts

    return run_interruptibly(run())


class _Making:
    """Work through the rows of one run."""

    def __init__(self, run: ClaimRun, requester: Requester, loader: RowLoader, on_progress: Progress | None) -> None:
        self._store = run.store
        self._worker = run.worker
        self._stop = run.stop
        self._counts = run.counts
        self._requester = requester
        self._loader = loader
        self._on_progress = on_progress
        self._busy: set[int] = set()
        self._later: list[LoadedRow] = []  # rows whose image sets are being worked on, here or by another process
        advice = "that the model sees images and that the server is well"
        self._failures = FailureStreak(run.stop, run.settings.max_failures, "images", advice)

    async def run(self, concurrency: int) -> None:
        """Work until all rows are done, or it is to stop.

        Args:
            concurrency: requests in flight at a time.
        """
        heartbeat = asyncio.create_task(self._send_heartbeats())
        try:
            num_tasks = concurrency + min(concurrency, _AHEAD)
            await asyncio.gather(*(self._work() for _ in range(num_tasks)))
            while self._later and not self._stop.is_set:
                await self._take_up_again()
        finally:
            heartbeat.cancel()
            with suppress(asyncio.CancelledError):
                await heartbeat
        for loaded in self._later:
            self._count(loaded, Outcome("untouched", self._stop.why))
        left = (self._counts.total or 0) - sum(self._counts.by_status.values())
        if left > 0:
            self._counts.by_status["untouched"] += left
        self._counts.ended = self._stop.why

    async def _work(self) -> None:
        try:
            while not self._stop.is_set:
                loaded = await self._loader.load_next()
                if loaded is None:
                    return
                await self._deal_with(loaded)
        except VapoError as error:
            self._stop.set(str(error), error)

    async def _deal_with(self, loaded: LoadedRow) -> None:
        if loaded.image_set is None:
            self._count(loaded, Outcome("unreadable", loaded.why))
            return
        outcome = self._requester.find_outcome(loaded.image_set)
        if outcome is None:
            if not self._take(loaded.image_set):
                self._later.append(LoadedRow(loaded.row, loaded.image_set))
                return
            try:
                outcome = await self._requester.request_claims(loaded.image_set, loaded.images)
            finally:
                self._busy.discard(loaded.image_set)
                release_image_set(self._store, self._worker, loaded.image_set)
            self._failures.note(outcome.why if outcome.status == "unanswered" else None)
        self._count(loaded, outcome)

    async def _take_up_again(self) -> None:
        """Look again at rows that somebody was working on."""
        waiting, self._later = self._later, []
        for loaded in waiting:
            await self._deal_with(loaded)
        if self._later:
            await asyncio.sleep(_POLL_S)

    def _take(self, image_set: int) -> bool:
        if image_set in self._busy:
            return False
        with self._store.writing():
            taken = take_image_set(self._store, self._worker, image_set)
        if taken:
            self._busy.add(image_set)
        return taken

    def _count(self, loaded: LoadedRow, outcome: Outcome) -> None:
        self._counts.add(outcome.status, loaded.row, outcome.why)
        if self._on_progress is not None:
            self._on_progress(self._counts)

    async def _send_heartbeats(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            with self._store.writing():
                send_heartbeat(self._store, self._worker)
                free_dead_workers(self._store)


@contextmanager
def _working_on(store: Store) -> Generator[int]:
    """Be a worker of a store."""
    worker = register_worker(store)
    try:
        yield worker
    finally:
        with suppress(StoreError):  # of a full disk, as reported before; the next worker finds that this one is gone
            remove_worker(store, worker)


def make_claims_with(
    rows: Iterable[WholeRow],
    store: Store,
    settings: MakingSettings,
    *,
    model: str | None = None,
    base_url: str | None = None,
    program: str | None = None,
    vision_model: VisionModel | None = None,
    prices: Sequence[float] | None = None,
    concurrency: int = 32,
    timeout_s: float = 300.0,
    embeddings: str | None = None,
    local_embeddings: str | None = None,
    on_progress: Callable[[RunCounts], None] | None = None,
    on_notice: Callable[[str], None] = lambda notice: None,
) -> RunCounts:
    """Make claims with whoever is named.

    Args:
        rows, store, settings, on_progress, on_notice: see `make_claims`.
        model, base_url: a model behind a server.
        program: a function; see `load_program`.
        vision_model: a model in this process.
        prices: US dollars for a million tokens, read and written.
        concurrency, timeout_s: see `ModelClient`.
        embeddings: an embedding model of the server.
        local_embeddings: one of sentence-transformers.

    Raises:
        ConfigError: nobody is named, or more than one.
        VapoError: as `make_claims` and `make_claims_by_program`.
    """
    if [base_url, program, vision_model].count(None) != 2:
        raise ConfigError(
            "name who makes the claims: a server (--base-url), a checkpoint (--checkpoint) or a program of your own "
            "(--program)"
        )
    if embeddings is not None and (local_embeddings is not None or base_url is None):
        raise ConfigError("embeddings come from the server (--embeddings) or this process (--local-embeddings)")
    if program is not None:
        return make_claims_by_program(rows, store, load_program(program), program, settings, on_progress=on_progress)
    embedder: Embedder | None = LocalEmbedder(local_embeddings) if local_embeddings is not None else None
    if base_url is not None:
        priced = Prices(*prices) if prices is not None else None
        vision_model = server = ModelClient(
            base_url, model, concurrency=concurrency, prices=priced, timeout_s=timeout_s
        )
        if embeddings is not None:
            embedder = ServerEmbedder(server, embeddings)
    assert vision_model is not None
    return make_claims(
        rows, store, vision_model, settings, embedder=embedder, on_progress=on_progress, on_notice=on_notice
    )
