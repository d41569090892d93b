"""Ask a model about one image set until it has its claims, or the tries are used up.

The next request follows from what the store holds about the image set, and from nothing else. So work that was cut off
goes on as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from vapo.api.prices import Prices
from vapo.api.rate_limiter import LimiterClosedError, RateLimiter
from vapo.api.responses import Response
from vapo.api.server_errors import ServerError
from vapo.claims.filters.claim_filter import filter_claims
from vapo.claims.filters.similarity import Embedder, make_similarity
from vapo.claims.making.budget import BudgetTracker
from vapo.claims.making.counts import RunCounts
from vapo.claims.making.image_set_state import ImageSetState, Outcome, read_state
from vapo.claims.making.response_parser import parse_response
from vapo.claims.making.settings import MakingSettings
from vapo.claims.making.stop_signal import StopSignal
from vapo.claims.store.claims import add_claims
from vapo.claims.store.images import StoredImage, read_images
from vapo.claims.store.requests import (
    NewRequest,
    StoredRequest,
    add_answer,
    open_request,
    read_answer,
    set_request_state,
)
from vapo.claims.store.store import ForeignStoreError, Store
from vapo.claims.store.workers import holds_image_set

_SET_ASIDE = "it was not kept as answers are, and was set aside"


class VisionModel(Protocol):
    """Answers instructions about images, several at a time; used as a context manager inside one event loop."""

    limiter: RateLimiter
    prices: Prices | None
    server: str

    @property
    def model(self) -> str:
        """What it is called; known once `connect` was awaited."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def connect(self) -> object:
        """Check that it can be asked. Raises VapoError."""
        ...

    async def ask(self, instruction: str, images: Sequence[StoredImage], options: Mapping[str, Any]) -> Response:
        """Return the answer to an instruction about images, in the form of a chat completion.

        Raises:
            ServerError: there is none; `may_pass` tells whether others may fare better.
        """
        ...


@dataclass(frozen=True, slots=True)
class ClaimRun:
    """One run of making claims.

    Attributes:
        store: where everything is kept.
        worker: this process.
        settings: what is asked for.
        stop: says when to send no more requests.
        counts: of responses and claims.
    """

    store: Store
    worker: int
    settings: MakingSettings
    stop: StopSignal
    counts: RunCounts


class Requester:
    """Asks about image sets that this process holds.

    Args:
        run: of which it is part.
        vision_model: who is asked.
        tracker: keeps requests within the budget.
        embedder: finds claims that say the same in other words; None finds those in the same words only.
    """

    def __init__(
        self, run: ClaimRun, vision_model: VisionModel, tracker: BudgetTracker, embedder: Embedder | None = None
    ) -> None:
        self._store = run.store
        self._worker = run.worker
        self._settings = run.settings
        self._stop = run.stop
        self._counts = run.counts
        self._vision_model = vision_model
        self._tracker = tracker
        self._embedder = embedder

    def find_outcome(self, image_set: int) -> Outcome | None:
        """Return what has become of an image set before; None if there is something to request."""
        return read_state(self._store, image_set).find_outcome(self._settings)

    async def request_claims(self, image_set: int, images: Sequence[StoredImage] = ()) -> Outcome:
        """Ask about an image set.

        Args:
            image_set: its number.
            images: its images, if they are at hand.

        Raises:
            ServerError: nobody can be asked any more.
            StoreError: nothing can be kept any more.
        """
        try:
            while True:
                state = read_state(self._store, image_set)
                outcome = state.find_outcome(self._settings)
                if outcome is not None:
                    return outcome
                if not holds_image_set(self._store, self._worker, image_set):
                    return Outcome("untouched", "another process has taken it over")
                if state.unread:
                    await self._read_again(state)
                    continue
                if self._stop.is_set:
                    return Outcome("untouched", self._stop.why)
                images = images or read_images(self._store, image_set)
                new = state.write_request(
                    self._settings, len(images), self._vision_model.model, self._vision_model.server
                )
                if not await self._ask(image_set, state, new, images):
                    return Outcome("untouched", self._stop.why)
        except LimiterClosedError:  # while it waited for a slot
            return Outcome("untouched", self._stop.why)
        except ServerError as error:
            if not error.may_pass:
                raise
            return Outcome("unanswered", str(error))

    async def _read_again(self, state: ImageSetState) -> None:
        """Read the first answer that is there but was not read."""
        request = state.unread[0]
        try:
            answer = read_answer(self._store, request.id)
        except ForeignStoreError:
            answer = None
        if answer is None:  # older versions kept what servers sent in place of numbers
            with self._store.writing():
                set_request_state(self._store, request.id, "read", _SET_ASIDE)
            return
        await self._read(request, state, answer)

    async def _ask(self, image_set: int, state: ImageSetState, new: NewRequest, images: Sequence[StoredImage]) -> bool:
        """Send a request and keep the answer and its claims; return False if it may not be asked any more."""
        while True:
            with self._store.writing():
                reservation = self._tracker.reserve(new.instruction, images)
                request = None if reservation is None else open_request(self._store, image_set, new)
            if reservation is not None and request is not None:
                break
            if not await self._stop.wait_for_budget(self._tracker):
                return False
        try:
            options = {**new.options, **self._settings.form}
            answer = await self._vision_model.ask(new.instruction, images, options)
        except BaseException as error:
            with self._store.writing():
                self._tracker.give_back(reservation)
                if isinstance(error, ServerError):
                    set_request_state(self._store, request.id, "failed", str(error))
            raise
        prompt_tokens, answer = answer.prompt_tokens, self._tracker.charge(answer, reservation)
        with self._store.writing():
            add_answer(self._store, request.id, answer)
            self._tracker.give_back(reservation)
        self._stop.release_budget()
        self._counts.count_answer(answer)
        await self._read(request, state, answer)
        self._tracker.learn(prompt_tokens, len(images))
        return True

    async def _read(self, request: StoredRequest, state: ImageSetState, answer: Response) -> None:
        """Keep or reject the claims of an answer."""
        parsed = parse_response(answer.body)
        pool = state.make_pool(self._settings.per_image)
        similarity = None
        if self._embedder is not None and parsed.claims:
            similarity = await make_similarity(self._embedder, [claim.text for claim in parsed.claims], pool.texts)
        filtered = filter_claims(parsed.claims, pool, self._settings.filters, similarity)
        with self._store.writing():
            if not holds_image_set(self._store, self._worker, request.image_set):
                return  # this process slept for so long that another one took over; it finds the answer
            add_claims(self._store, request.image_set, request.model, filtered, request.id)
            set_request_state(self._store, request.id, "read", parsed.trouble or None)
        self._counts.count_claims(filtered)
