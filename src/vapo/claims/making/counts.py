"""Count what becomes of the rows of a run, and write it as text."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from vapo.api.responses import Response
from vapo.claims.store.claims import NewClaim

RowStatus = Literal["full", "short", "unanswered", "unreadable", "untouched"]
"""full: it has its claims. short: the tries are used up before, or a program has no more. unanswered: the model gave
no answer. unreadable: its images cannot be opened. untouched: the run ended before."""
ROW_STATUSES: tuple[RowStatus, ...] = get_args(RowStatus)

INTERRUPTED = "it was interrupted"
"""Why a run ended, if the user wanted it to."""

_SHOWN = 5


@dataclass(slots=True)
class RunCounts:
    """Counts of one run. Every row has one status, so that they add up to the rows.

    Attributes:
        total: rows, if it is known how many there are.
        by_program: whether a program makes the claims, which is asked once and has neither tries nor tokens.
        by_status: rows by what became of them.
        requests: answers that were received.
        kept: claims that were kept.
        rejected: claims that were left out, by reason.
        tokens, usd: what the answers took.
        why: the first few rows of each status but "full", with what happened.
        ended: why the run ended before its time; "" if it did not.
    """

    total: int | None = None
    by_program: bool = False
    by_status: Counter[RowStatus] = field(default_factory=Counter["RowStatus"])
    requests: int = 0
    kept: int = 0
    rejected: Counter[str] = field(default_factory=Counter[str])
    tokens: int = 0
    usd: float = 0.0
    why: dict[RowStatus, list[str]] = field(default_factory=dict["RowStatus", list[str]])
    ended: str = ""
    began: float = field(default_factory=time.monotonic)

    @property
    def done(self) -> int:
        """Rows whose status is known."""
        return sum(self.by_status.values()) - self.by_status["untouched"]

    @property
    def exit_code(self) -> int:
        """The exit status of a command: 0 if nothing is left to do, 130 if it was interrupted, else 1."""
        if self.ended == INTERRUPTED:
            return 130
        left = self.by_status["unanswered"] + self.by_status["unreadable"] + self.by_status["untouched"]
        return 1 if self.ended or left else 0

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self.began

    def count_answer(self, answer: Response) -> None:
        """Count an answer that was received."""
        self.requests += 1
        self.tokens += answer.prompt_tokens + answer.completion_tokens
        self.usd += answer.usd

    def count_claims(self, claims: Sequence[NewClaim]) -> None:
        """Count claims that were kept or rejected."""
        reasons = Counter(claim.rejected_for for claim in claims)
        self.kept += reasons.pop(None, 0)
        self.rejected.update({str(reason): number for reason, number in reasons.items()})

    def add(self, status: RowStatus, row: str = "", why: str = "") -> None:
        """Count a row."""
        self.by_status[status] += 1
        shown = self.why.setdefault(status, [])
        if why and len(shown) < _SHOWN:
            shown.append(f"{row}: {why}")


_WORDS: Mapping[RowStatus, str] = {
    "full": "have their claims",
    "short": "have too few claims, and the tries are used up; --tries allows more",
    "unanswered": "got no answer; the same command asks again",
    "unreadable": "cannot be read",
    "untouched": "are left",
}


_SHORT_OF_PROGRAM = "have fewer claims than --per-image: the program returned no more that could be kept"


def format_counts(counts: RunCounts) -> str:
    """Write what a run did as lines of text."""
    return "\n".join(_describe(counts))


def describe_progress(counts: RunCounts) -> str:
    """Say in a few words what a run has taken so far, and what went wrong."""
    taken = f"{counts.usd:.2f} usd" if counts.usd else f"{counts.tokens / 1000:.0f}k tokens"
    parts = [f"{counts.kept} claims" if counts.by_program else taken]
    parts += [
        f"{counts.by_status[status]} {status}"
        for status in ("short", "unanswered", "unreadable")
        if counts.by_status[status] and not (counts.by_program and status == "short")
    ]
    return ", ".join(parts)


def _describe(counts: RunCounts) -> Iterator[str]:
    if counts.ended:
        yield f"{counts.ended}; the same command goes on from here"
    for status, words in _WORDS.items():
        if status == "short" and counts.by_program:
            words = _SHORT_OF_PROGRAM
        if counts.by_status[status] or status == "full":
            yield f"{counts.by_status[status]} of {sum(counts.by_status.values())} rows {words}"
            yield from (f"  {why}" for why in counts.why.get(status, ()))
            more = counts.by_status[status] - len(counts.why.get(status, ()))
            if counts.why.get(status) and more:
                yield f"  and {more} more"
    cost = f", {counts.usd:.4f} US dollars" if counts.usd else ""
    if not counts.by_program:
        yield f"{counts.requests} answers, {counts.tokens} tokens{cost}, {counts.seconds:.0f} s"
    reasons = ", ".join(f"{reason} {number}" for reason, number in counts.rejected.most_common())
    yield f"{counts.kept} claims kept, {counts.rejected.total()} rejected{f': {reasons}' if reasons else ''}"
