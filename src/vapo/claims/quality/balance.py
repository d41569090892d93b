"""Whether claims are about as often true as false: in all, about each image, and of each kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vapo.claims.quality.rates import Rate, measure_rate
from vapo.claims.store.claims import StoredClaim


@dataclass(frozen=True, slots=True)
class Balance:
    """Shares of true claims.

    Attributes:
        num_images: images, or what else claims are about together.
        true: true claims among all; None if there are no claims.
        num_even: images of whose claims half are true; an odd number may have one more of either.
        by_kind: true claims among those of a kind.
        contradicted: texts that are said to be true and false of one image.
    """

    num_images: int
    true: Rate | None
    num_even: int
    by_kind: Mapping[str, Rate]
    contradicted: int


def measure_balance(claims: Sequence[StoredClaim]) -> Balance:
    """Measure how claims that are kept are balanced."""
    labels: dict[int, list[bool]] = {}
    truths: dict[tuple[int, str], set[bool]] = {}
    kinds: dict[str, list[tuple[int, bool]]] = {}
    for stored in claims:
        labels.setdefault(stored.subject, []).append(stored.claim.is_true)
        truths.setdefault((stored.subject, stored.claim.text), set()).add(stored.claim.is_true)
        kinds.setdefault(stored.kind, []).append((stored.subject, stored.claim.is_true))
    rates = {kind: measure_rate(outcomes) for kind, outcomes in sorted(kinds.items())}
    return Balance(
        num_images=len(labels),
        true=measure_rate((stored.subject, stored.claim.is_true) for stored in claims),
        num_even=sum(abs(2 * sum(own) - len(own)) <= 1 for own in labels.values()),
        by_kind={kind: rate for kind, rate in rates.items() if rate is not None},
        contradicted=sum(len(both) > 1 for both in truths.values()),
    )
