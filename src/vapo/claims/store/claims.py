"""Claims in a store: every one that was ever read or written, kept or rejected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from vapo.claims.store.images import SourceRow
from vapo.claims.store.store import Store
from vapo.types import Claim


@dataclass(frozen=True, slots=True)
class StoredClaim:
    """A claim about an image set.

    Attributes:
        id: its number in the store.
        claim: text and truth as they were written, never changed.
        kind: what it is about; see `vapo.claims.filters.kinds`.
        maker: the model, program or file it is from.
        request: whose answer it stood in; None if no model was asked.
        rejected_for: why it was left out; None for one that is kept.
    """

    id: int
    image_set: int
    claim: Claim
    kind: str
    maker: str
    request: int | None
    rejected_for: str | None


@dataclass(frozen=True, slots=True)
class NewClaim:
    """A claim on its way into a store; fields as in `StoredClaim`."""

    claim: Claim
    kind: str
    rejected_for: str | None = None


def add_claims(
    store: Store, image_set: int, maker: str, claims: Iterable[NewClaim], request: int | None = None
) -> None:
    """Add claims to an image set; call it while writing."""
    store.execute_many(
        "INSERT INTO claims (subject, request, maker, text, is_true, kind, rejected_for) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (image_set, request, maker, new.claim.text, int(new.claim.is_true), new.kind, new.rejected_for)
            for new in claims
        ],
    )


def read_claims(store: Store, image_set: int, *, rejected: bool = False) -> list[StoredClaim]:
    """Return an image set's claims in the order in which they came: those kept, or all with the rejected ones."""
    chosen = "" if rejected else "AND rejected_for IS NULL "
    return _read(store, f"WHERE subject = ? {chosen}ORDER BY id", (image_set,))


def list_claims(store: Store) -> list[StoredClaim]:
    """Return all claims that are kept, in the order in which they came."""
    return _read(store, "WHERE rejected_for IS NULL ORDER BY id", ())


def find_claim(store: Store, number: int) -> StoredClaim | None:
    """Return the claim of this number; None if there is none."""
    found = _read(store, "WHERE id = ?", (number,))
    return found[0] if found else None


def _read(store: Store, condition: str, values: Sequence[Any]) -> list[StoredClaim]:
    found = store.read(
        f"SELECT id, subject, text, is_true, kind, maker, request, rejected_for FROM claims {condition}", values
    )
    return [
        StoredClaim(int(n), int(image_set), Claim(str(text), bool(is_true)), str(kind), str(maker), request, reason)
        for n, image_set, text, is_true, kind, maker, request, reason in found
    ]


def set_row_claims(store: Store, source: str, name: str, claims: Sequence[int]) -> None:
    """Record which claims a row was imported with, in order, whatever it had before; call it while writing."""
    store.execute("DELETE FROM row_claims WHERE source = ? AND name = ?", (source, name))
    store.execute_many(
        "INSERT INTO row_claims (source, name, position, claim) VALUES (?, ?, ?, ?)",
        [(source, name, position, claim) for position, claim in enumerate(claims or (None,))],
    )


def read_row_claims(store: Store, row: SourceRow) -> list[StoredClaim]:
    """Return the claims of a row that are kept: those it was imported with, then those made about its images."""
    kept = {stored.id: stored for stored in read_claims(store, row.image_set)}
    found = store.read(
        "SELECT claim FROM row_claims WHERE source = ? AND name = ? ORDER BY position", (row.source, row.name)
    )
    imported = store.read(
        "SELECT DISTINCT claim FROM row_claims JOIN claims ON claims.id = claim WHERE subject = ?", (row.image_set,)
    )
    own = [int(claim) for (claim,) in found if claim is not None]
    of_others = {int(claim) for (claim,) in imported} if found else set[int]()
    return [kept[claim] for claim in own if claim in kept] + [
        stored for claim, stored in kept.items() if claim not in of_others
    ]
