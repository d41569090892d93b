"""Sort an image's new claims into those to keep and those to leave out, with the reason."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from vapo.claims.filters.kinds import find_kind
from vapo.claims.filters.rules import FilterSettings, find_rejection_reason
from vapo.claims.filters.words import affirm, is_negated, reduce_words
from vapo.claims.store.claims import NewClaim
from vapo.types import Claim

Similarity = Callable[[str, str], float]
"""How much two claims say the same, in [-1, 1]: the cosine of their embeddings."""


@dataclass(slots=True)
class Pool:
    """The claims that an image has so far, and how many it may have.

    Attributes:
        room: how many more of each label.
        size: how many in all, of which shares may be about colours and numbers.
    """

    room: dict[bool, int]
    size: int
    texts: list[str] = field(default_factory=list[str])
    kinds: Counter[str] = field(default_factory=Counter[str])
    wordings: set[tuple[str, ...]] = field(default_factory=set[tuple[str, ...]])
    affirmed: dict[tuple[str, ...], bool] = field(default_factory=dict[tuple[str, ...], bool])

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another claim."""
        return all(number <= 0 for number in self.room.values())

    def add(self, claim: Claim, kind: str) -> None:
        """Keep a claim."""
        self.room[claim.is_true] -= 1
        self.texts.append(claim.text)
        self.kinds[kind] += 1
        self.wordings.add(reduce_words(claim.text))
        self.affirmed.setdefault(affirm(claim.text), is_negated(claim.text))


def make_pool(per_image: int, kept: Sequence[tuple[Claim, str]]) -> Pool:
    """Return the pool of an image that is to have `per_image` claims and has `kept`, with their kinds."""
    pool = Pool({True: (per_image + 1) // 2, False: per_image // 2}, per_image)
    for claim, kind in kept:
        pool.add(claim, kind)
    return pool


def filter_claims(
    claims: Sequence[Claim], pool: Pool, settings: FilterSettings, similarity: Similarity | None = None
) -> list[NewClaim]:
    """Return every claim with the reason to leave it out, or None, and add those that are kept to the pool.

    A claim that differs from an earlier one in articles, endings or forms of "be" alone is a duplicate, whatever its
    label; embeddings, where there are some, find more.

    Args:
        claims: in the order in which they came; earlier ones are preferred.
        pool: of their image.
        settings: what they must be like.
        likeness: of two texts, by their embeddings; None for none.
    """
    filtered: list[NewClaim] = []
    for claim in claims:
        kind = find_kind(claim.text) if settings.language == "English" else "other"
        reason = find_rejection_reason(claim.text, settings) or _find_clash(claim, kind, pool, settings, similarity)
        if reason is None:
            pool.add(claim, kind)
        filtered.append(NewClaim(claim, kind, reason))
    return filtered


def _find_clash(
    claim: Claim, kind: str, pool: Pool, settings: FilterSettings, similarity: Similarity | None
) -> str | None:
    """Return why a claim does not go with those there are."""
    checks: dict[str, Callable[[], bool]] = {
        "duplicate": lambda: _is_known(claim.text, pool, settings, similarity),
        "negation": lambda: _is_counterpart(claim.text, pool),
        "colour": lambda: kind == "colour" and _is_used_up(kind, settings.max_colour, pool),
        "counting": lambda: kind == "counting" and _is_used_up(kind, settings.max_counting, pool),
    }
    for name, rejects in checks.items():
        if name not in settings.without and rejects():
            return name
    return "surplus" if pool.room[claim.is_true] <= 0 else None


def _is_known(text: str, pool: Pool, settings: FilterSettings, similarity: Similarity | None) -> bool:
    if reduce_words(text) in pool.wordings:
        return True
    return similarity is not None and any(similarity(text, known) > settings.max_similarity for known in pool.texts)


def _is_counterpart(text: str, pool: Pool) -> bool:
    """Return whether a claim is the negation of one there is, or the other way round."""
    known = pool.affirmed.get(affirm(text))
    return known is not None and known != is_negated(text)


def _is_used_up(kind: str, share: float, pool: Pool) -> bool:
    return pool.kinds[kind] >= max(1, math.floor(share * pool.size)) if share > 0 else True
