"""Put claims before a second model, many requests at a time, and keep each answer as it comes.

The same call goes on where an earlier one was stopped: what was answered is not asked again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from vapo.api.client import ModelClient
from vapo.api.server_errors import ServerError
from vapo.claims.audit.questions import QUESTIONS, AuditQuestion, read_verdict, write_probe, write_turn
from vapo.claims.making.stop_signal import (
    INTERRUPTED,
    FailureStreak,
    StopSignal,
    run_interruptibly,
    stopping_on_interrupt,
)
from vapo.claims.store.audits import Audit, AuditCost, add_audit, find_audited
from vapo.claims.store.claims import StoredClaim, read_claims
from vapo.claims.store.images import StoredImage, read_images, sample_image_sets
from vapo.claims.store.store import Store
from vapo.errors import VapoError

PROBED = " (probed)"
"""Behind the name of an auditor that is asked as VAPO's probes ask."""

_TOP_LOGPROBS = 20
_PROBE_TURN = "Look at the image."


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """What is asked.

    Attributes:
        questions: about each claim.
        num_images: images of a random sample whose claims are audited; None for all.
        seed: of that sample.
        max_tokens: of an answer, thoughts included.
        probe_template: puts questions into the auditor's own turn, as VAPO's probes do; None asks in the user's turn.
        max_failures: requests in a row without an answer after which the server counts as broken.
    """

    questions: tuple[AuditQuestion, ...] = tuple(QUESTIONS.values())
    num_images: int | None = 100
    seed: int = 0
    max_tokens: int = 1024
    probe_template: str | None = None
    max_failures: int = 20


@dataclass(slots=True)
class AuditCounts:
    """What became of the questions of one run.

    Attributes:
        num_claims: claims of the sample.
        total: questions about them, those answered earlier among them.
        before: answered by an earlier run.
        answered: answers that came, unreadable ones among them.
        unreadable: those that say neither yes nor no.
        failed: questions without an answer; the next run asks them again.
        tokens, usd: what the answers took.
        last_failure: why the last failed one failed.
        ended: why the run ended before its time; "" if it did not.
    """

    num_claims: int = 0
    total: int = 0
    before: int = 0
    answered: int = 0
    unreadable: int = 0
    failed: int = 0
    tokens: int = 0
    usd: float = 0.0
    last_failure: str = ""
    ended: str = ""

    @property
    def done(self) -> int:
        """Questions that need not be asked any more in this run."""
        return self.before + self.answered + self.failed

    @property
    def exit_code(self) -> int:
        """The exit status of a command: 0 if every question has its answer, 130 if it was interrupted, else 1."""
        if self.ended == INTERRUPTED:
            return 130
        return int(self.before + self.answered < self.total)

    def __str__(self) -> str:
        parts = [f"{self.answered} of {self.total} questions about {self.num_claims} claims answered"]
        parts += [f"{self.before} answered before"] if self.before else []
        parts += [f"{self.failed} without an answer (the last one: {self.last_failure})"] if self.failed else []
        left = self.total - self.done
        parts += [f"{left} left: {self.ended}; the same command goes on"] if left else []
        cost = f", {self.usd:.4f} US dollars" if self.usd else ""
        return f"{'; '.join(parts)}; {self.tokens} tokens{cost}"


class _Case(NamedTuple):
    claim: StoredClaim
    question: AuditQuestion
    images: tuple[StoredImage, ...]


def audit_claims(
    store: Store,
    auditor: ModelClient,
    settings: AuditSettings = AuditSettings(),
    *,
    on_progress: Callable[[int, int], None] | None = None,
    on_notice: Callable[[str], None] = lambda notice: None,
) -> AuditCounts:
    """Audit the claims of a random sample of images.

    A first interrupt (Ctrl-C) ends it when the requests under way are answered, a second one at once.

    Args:
        store: where claims are, and what is said of them is kept.
        auditor: who is asked.
        settings: what.
        on_progress: called with (questions done, questions in all).
        on_notice: told that it is about to end.

    Raises:
        DataError: there are no claims.
        ConfigError: a setting is out of its range.
        ServerError: the auditor cannot be asked, or any more.
        StoreError: the store cannot be written, or the disk is nearly full.
        KeyboardInterrupt: it was interrupted twice.
    """

    async def run() -> AuditCounts:
        stop = StopSignal(store.path)
        with stopping_on_interrupt(stop, on_notice):
            async with auditor:
                await auditor.connect()
                counts = await _Auditing(store, auditor, settings, stop, on_progress).run()
        if stop.error is not None:
            raise stop.error
        return counts

    return run_interruptibly(run())


class _Auditing:
    """One run."""

    def __init__(
        self,
        store: Store,
        auditor: ModelClient,
        settings: AuditSettings,
        stop: StopSignal,
        on_progress: Callable[[int, int], None] | None,
    ) -> None:
        self._store = store
        self._auditor = auditor
        self._settings = settings
        self._stop = stop
        self._on_progress = on_progress
        self._counts = AuditCounts()
        self._failures = FailureStreak(stop, settings.max_failures, "questions", "that the server is well")
        # Asked in another way, a model is another auditor.
        self._name = f"{auditor.model}{'' if settings.probe_template is None else PROBED}"

    async def run(self) -> AuditCounts:
        image_sets = sample_image_sets(self._store, self._settings.num_images, self._settings.seed)
        answered = {
            question.name: find_audited(self._store, self._name, question.name)
            for question in self._settings.questions
        }
        sample = [(image_set, read_claims(self._store, image_set)) for image_set in image_sets]
        self._counts.num_claims = sum(len(claims) for _, claims in sample)
        self._counts.total = self._counts.num_claims * len(self._settings.questions)
        kept = {claim.id for _, claims in sample for claim in claims}
        self._counts.before = sum(len(claims & kept) for claims in answered.values())
        cases = self._list_cases(sample, answered)
        await asyncio.gather(*(self._work(cases) for _ in range(self._auditor.limiter.max_concurrent)))
        self._counts.ended = self._stop.why
        return self._counts

    def _list_cases(
        self, sample: list[tuple[int, list[StoredClaim]]], answered: dict[str, set[int]]
    ) -> Iterator[_Case]:
        for image_set, claims in sample:
            images: tuple[StoredImage, ...] | None = None
            for claim in claims:
                for question in self._settings.questions:
                    if claim.id not in answered[question.name]:
                        images = read_images(self._store, image_set) if images is None else images
                        yield _Case(claim, question, images)

    async def _work(self, cases: Iterator[_Case]) -> None:
        try:
            for case in cases:
                if self._stop.is_set:
                    return
                await self._deal_with(case)
                if self._on_progress is not None:
                    self._on_progress(self._counts.done, self._counts.total)
        except VapoError as error:
            self._stop.set(str(error), error)

    async def _deal_with(self, case: _Case) -> None:
        try:
            audit, body, cost = await self._ask(case)
        except ServerError as error:
            if not error.may_pass:
                raise
            self._counts.failed += 1
            self._counts.last_failure = str(error)
            self._failures.note(str(error))
            return
        with self._store.writing():
            add_audit(self._store, audit, body, cost)
        self._failures.note(None)
        self._counts.answered += 1
        self._counts.unreadable += audit.says_yes is None
        self._counts.tokens += cost.prompt_tokens + cost.completion_tokens
        self._counts.usd += cost.usd

    async def _ask(self, case: _Case) -> tuple[Audit, bytes, AuditCost]:
        options: dict[str, Any] = {"temperature": 0.0, "logprobs": True, "top_logprobs": _TOP_LOGPROBS}
        images = case.images if case.question.with_images else ()
        text, template = case.claim.claim.text, self._settings.probe_template
        if template is None:
            options["max_completion_tokens"] = self._settings.max_tokens
            answer = await self._auditor.ask(write_turn(case.question, text), images, options)
        else:
            options["max_completion_tokens"] = 1
            beginning = write_probe(case.question, text, template)
            answer = await self._auditor.ask(_PROBE_TURN, images, options, beginning=beginning)
        says_yes, p_yes = read_verdict(answer.body)
        audit = Audit(case.claim.id, self._name, case.question.name, says_yes, p_yes)
        return audit, answer.body, AuditCost(answer.prompt_tokens, answer.completion_tokens, answer.usd)
