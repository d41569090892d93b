"""What becomes of a claim that persons have judged: it stays, is put right, or is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from vapo.claims.store.claims import list_claims, read_claims
from vapo.claims.store.marks import Mark, read_marks
from vapo.claims.store.store import Store
from vapo.claims.store.subjects import find_subject, name_subject
from vapo.types import Claim


def mend_claim(claim: Claim, marks: Sequence[Mark]) -> Claim | None:
    """Return a claim as its reviewers would have it.

    Right leaves it as it is. Wrong takes the text and the label that the reviewer gave, and without either turns the
    label round: what is not true is false. Unclear leaves the claim out, and so do reviewers who do not agree.

    Args:
        claim: as it was made.
        marks: the last mark of each reviewer.
    """
    wanted = {_apply(claim, mark) for mark in marks} or {claim}
    return wanted.pop() if len(wanted) == 1 else None


def read_pool(store: Store, subject: int, *, mended: bool = True) -> list[Claim]:
    """Return a subject's claims to train on: those kept, as their reviewers would have them, each once.

    A text that stands there as true and as false is left out.

    Args:
        store: the store.
        subject: the subject's number.
        mended: whether marks count; without them, claims are as they were made.
    """
    marks = read_marks(store, subject=subject) if mended else {}
    mends = (mend_claim(stored.claim, marks.get(stored.id, ())) for stored in read_claims(store, subject))
    pool = list(dict.fromkeys(claim for claim in mends if claim is not None))
    texts = Counter(claim.text for claim in pool)
    return [claim for claim in pool if texts[claim.text] == 1]


def find_pool(store: Store, image_names: Sequence[str], *, mended: bool = True) -> list[Claim]:
    """Return the claims to train on about pictures, by the names of their pixels; none if the store has no such."""
    subject = find_subject(store, name_subject(image_names))
    return [] if subject is None else read_pool(store, subject, mended=mended)


def count_mended(store: Store) -> tuple[int, int]:
    """Return how many of the claims that are kept reviewers would have otherwise, and how many they leave out."""
    marks = read_marks(store)
    mends = [
        (stored.claim, mend_claim(stored.claim, marks[stored.id]))
        for stored in list_claims(store)
        if stored.id in marks
    ]
    changed = sum(mended is not None and mended != claim for claim, mended in mends)
    return changed, sum(mended is None for _, mended in mends)


def _apply(claim: Claim, mark: Mark) -> Claim | None:
    if mark.judgement == "unclear":
        return None
    if mark.judgement == "right":
        return claim
    if mark.text is None and mark.is_true is None:
        return Claim(claim.text, not claim.is_true)
    return Claim(
        claim.text if mark.text is None else mark.text, claim.is_true if mark.is_true is None else mark.is_true
    )
