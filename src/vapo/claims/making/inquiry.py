"""Ask a witness about one subject until it has its claims, or the tries are used up.

What is asked follows from how the subject stands in the store and from nothing else. So an inquiry that was cut off
goes on as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Sequence

from vapo.api.rate_limiter import LimiterClosedError
from vapo.api.server_errors import ServerError
from vapo.claims.asking.reading import read_reply
from vapo.claims.filters.likeness import Embedder, compare_by
from vapo.claims.filters.sifting import sift
from vapo.claims.making.budget import Purse
from vapo.claims.making.ending import Ending
from vapo.claims.making.settings import MakingSettings
from vapo.claims.making.standing import Outcome, Standing, read_standing
from vapo.claims.making.tally import Tally
from vapo.claims.making.witness import Witness
from vapo.claims.store.claims import add_claims
from vapo.claims.store.requests import (
    Question,
    Response,
    StoredRequest,
    add_answer,
    mark_request,
    open_request,
    read_answer,
)
from vapo.claims.store.store import Store
from vapo.claims.store.subjects import StoredImage, read_images
from vapo.claims.store.workers import holds_subject


class Inquiry:
    """Asks about subjects that this process holds.

    Args:
        store: the store.
        worker: this process.
        witness: who is asked.
        settings: what for.
        purse: within which budget.
        ending: tells when no more may be asked.
        tally: where answers and claims are counted.
        embedder: finds claims that say the same in other words; None finds those in the same words only.
    """

    def __init__(
        self,
        store: Store,
        worker: int,
        witness: Witness,
        settings: MakingSettings,
        purse: Purse,
        ending: Ending,
        tally: Tally,
        embedder: Embedder | None = None,
    ) -> None:
        self._store = store
        self._worker = worker
        self._witness = witness
        self._settings = settings
        self._purse = purse
        self._ending = ending
        self._tally = tally
        self._embedder = embedder

    def find_outcome(self, subject: int) -> Outcome | None:
        """Return what has become of a subject before; None if it is to be pursued."""
        return read_standing(self._store, subject).find_outcome(self._settings)

    async def pursue(self, subject: int, images: Sequence[StoredImage] = ()) -> Outcome:
        """Ask about a subject.

        Args:
            subject: its number.
            images: its pictures, if they are at hand.

        Raises:
            ServerError: nobody can be asked any more.
            StoreError: nothing can be kept any more.
        """
        try:
            while True:
                standing = read_standing(self._store, subject)
                outcome = standing.find_outcome(self._settings)
                if outcome is not None:
                    return outcome
                if not holds_subject(self._store, self._worker, subject):
                    return Outcome("untouched", "another process has taken it over")
                if standing.unread:
                    await self._read_again(standing)
                    continue
                if self._ending.is_near:
                    return Outcome("untouched", self._ending.why)
                images = images or read_images(self._store, subject)
                question = standing.write_question(
                    self._settings, len(images), self._witness.model, self._witness.server
                )
                if not await self._ask(subject, standing, question, images):
                    return Outcome("untouched", self._ending.why)
        except LimiterClosedError:  # while it waited for its turn
            return Outcome("untouched", self._ending.why)
        except ServerError as error:
            if not error.may_pass:
                raise
            return Outcome("unanswered", str(error))

    async def _read_again(self, standing: Standing) -> None:
        """Read the first answer that is there but was not read."""
        request = standing.unread[0]
        answer = read_answer(self._store, request.id)
        assert answer is not None
        await self._read(request, standing, answer)

    async def _ask(self, subject: int, standing: Standing, question: Question, images: Sequence[StoredImage]) -> bool:
        """Ask a question and keep the answer and its claims; return False if it may not be asked any more."""
        while True:
            with self._store.writing():
                reservation = self._purse.reserve(question.instruction, images)
                request = None if reservation is None else open_request(self._store, subject, question)
            if reservation is not None and request is not None:
                break
            if not await self._ending.wait_for_money(self._purse):
                return False
        try:
            options = {**question.options, **self._settings.form}
            answer = await self._witness.ask(question.instruction, images, options)
        except BaseException as error:
            with self._store.writing():
                self._purse.give_back(reservation)
                if isinstance(error, ServerError):
                    mark_request(self._store, request.id, "failed", str(error))
            raise
        prompt_tokens, answer = answer.prompt_tokens, self._purse.charge(answer, reservation)
        with self._store.writing():
            add_answer(self._store, request.id, answer)
            self._purse.give_back(reservation)
        self._ending.money_is_back()
        self._tally.count_answer(answer)
        await self._read(request, standing, answer)
        self._purse.learn(prompt_tokens, len(images))
        return True

    async def _read(self, request: StoredRequest, standing: Standing, answer: Response) -> None:
        """Keep or reject the claims of an answer."""
        reading = read_reply(answer.body)
        pool = standing.make_pool(self._settings.per_image)
        likeness = None
        if self._embedder is not None and reading.claims:
            likeness = await compare_by(self._embedder, [claim.text for claim in reading.claims], pool.texts)
        sifted = sift(reading.claims, pool, self._settings.filters, likeness)
        with self._store.writing():
            if not holds_subject(self._store, self._worker, request.subject):
                return  # this process slept for so long that another one took over; it finds the answer
            add_claims(self._store, request.subject, request.model, sifted, request.id)
            mark_request(self._store, request.id, "read", reading.trouble or None)
        self._tally.count_claims(sifted)
