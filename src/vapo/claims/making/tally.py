"""What has become of the rows of a run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from vapo.api.responses import Response
from vapo.claims.store.claims import NewClaim

Fate = Literal["full", "short", "unanswered", "unreadable", "untouched"]
"""full: it has its claims. short: the tries are used up before. unanswered: the model gave no answer. unreadable: its
pictures cannot be opened. untouched: the run ended before."""
FATES: tuple[Fate, ...] = get_args(Fate)

INTERRUPTED = "it was interrupted"
"""Why a run ended, if the user wanted it to."""

_SHOWN = 5


@dataclass(slots=True)
class Tally:
    """Counts of one run. Every row has one fate, so fates add up to the rows.

    Attributes:
        total: rows, if it is known how many there are.
        fates: rows by what became of them.
        requests: answers that were received.
        kept: claims that were kept.
        rejected: claims that were left out, by reason.
        tokens, usd: what the answers took.
        why: the first few rows of each fate but "full", with what happened.
        ended: why the run ended before its time; "" if it did not.
    """

    total: int | None = None
    fates: Counter[Fate] = field(default_factory=Counter["Fate"])
    requests: int = 0
    kept: int = 0
    rejected: Counter[str] = field(default_factory=Counter[str])
    tokens: int = 0
    usd: float = 0.0
    why: dict[Fate, list[str]] = field(default_factory=dict["Fate", list[str]])
    ended: str = ""
    began: float = field(default_factory=time.monotonic)

    @property
    def done(self) -> int:
        """Rows whose fate is known."""
        return sum(self.fates.values()) - self.fates["untouched"]

    @property
    def status(self) -> int:
        """The exit status of a command: 0 if nothing is left to do, 130 if it was interrupted, else 1."""
        if self.ended == INTERRUPTED:
            return 130
        left = self.fates["unanswered"] + self.fates["unreadable"] + self.fates["untouched"]
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

    def add(self, fate: Fate, row: str = "", why: str = "") -> None:
        """Count a row."""
        self.fates[fate] += 1
        shown = self.why.setdefault(fate, [])
        if why and len(shown) < _SHOWN:
            shown.append(f"{row}: {why}")
