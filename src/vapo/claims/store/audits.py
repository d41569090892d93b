"""What other models say of claims, in a store."""

from __future__ import annotations

import time
from dataclasses import dataclass

from vapo.claims.store.store import Store


@dataclass(frozen=True, slots=True)
class Audit:
    """An auditor's answer to a question about a claim.

    Attributes:
        claim: the claim's number.
        auditor: the model's name.
        question: see `vapo.claims.audit.questions`.
        says_yes: what it answers; None where that cannot be told.
        p_yes: P(yes) / (P(yes) + P(no)), where the server gives probabilities.
    """

    claim: int
    auditor: str
    question: str
    says_yes: bool | None
    p_yes: float | None


@dataclass(frozen=True, slots=True)
class AuditCost:
    """What an audit's answer took: tokens as the server counts them, and US dollars."""

    prompt_tokens: int
    completion_tokens: int
    usd: float


_VERDICTS = {True: "yes", False: "no", None: "unreadable"}
_READ = {word: says for says, word in _VERDICTS.items()}


def add_audit(store: Store, audit: Audit, body: bytes, cost: AuditCost) -> None:
    """Record an answer at once.

    Args:
        store: the store.
        audit: what was made of it.
        body: the answer byte for byte.
        cost: what it took.
    """
    store.execute(
        "INSERT INTO audits (claim, auditor, question, verdict, p_true, body, prompt_tokens, completion_tokens, usd, "
        "at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            audit.claim,
            audit.auditor,
            audit.question,
            _VERDICTS[audit.says_yes],
            audit.p_yes,
            body,
            cost.prompt_tokens,
            cost.completion_tokens,
            cost.usd,
            time.time(),
        ),
    )


def read_audits(store: Store) -> list[Audit]:
    """Return all audits of claims that are kept, in the order in which they came; of one asked twice, the last."""
    found = store.read(
        "SELECT claim, auditor, question, verdict, p_true FROM audits JOIN claims ON claims.id = claim "
        "WHERE rejected_for IS NULL ORDER BY audits.id"
    )
    audits = (
        Audit(int(claim), str(auditor), str(question), _READ[str(verdict)], p_yes)
        for claim, auditor, question, verdict, p_yes in found
    )
    return list({(audit.claim, audit.auditor, audit.question): audit for audit in audits}.values())


def find_audited(store: Store, auditor: str, question: str) -> set[int]:
    """Return the claims that an auditor was asked this question about."""
    found = store.read("SELECT claim FROM audits WHERE auditor = ? AND question = ?", (auditor, question))
    return {int(claim) for (claim,) in found}


def read_audit_cost(store: Store) -> AuditCost:
    """Return what all audits have cost."""
    found = store.read_one(
        "SELECT coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0), coalesce(sum(usd), 0.0) "
        "FROM audits"
    )
    assert found is not None
    return AuditCost(*found)
