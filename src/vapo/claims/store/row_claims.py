"""Which claims an imported row had, in a store. Rows that show the same pictures may have had different ones."""

from __future__ import annotations

from collections.abc import Sequence

from vapo.claims.store.claims import StoredClaim, read_claims
from vapo.claims.store.store import Store
from vapo.claims.store.subjects import SourceRow


def set_row_claims(store: Store, source: str, name: str, claims: Sequence[int]) -> None:
    """Record which claims a row was imported with, in order, whatever it had before; call it while writing."""
    store.execute("DELETE FROM row_claims WHERE source = ? AND name = ?", (source, name))
    store.execute_many(
        "INSERT INTO row_claims (source, name, position, claim) VALUES (?, ?, ?, ?)",
        [(source, name, position, claim) for position, claim in enumerate(claims or (None,))],
    )


def read_row_claims(store: Store, row: SourceRow) -> list[StoredClaim]:
    """Return the claims of a row that are kept: those it was imported with, then those made about its pictures."""
    kept = {stored.id: stored for stored in read_claims(store, row.subject)}
    found = store.read(
        "SELECT claim FROM row_claims WHERE source = ? AND name = ? ORDER BY position", (row.source, row.name)
    )
    imported = store.read(
        "SELECT DISTINCT claim FROM row_claims JOIN claims ON claims.id = claim WHERE subject = ?", (row.subject,)
    )
    own = [int(claim) for (claim,) in found if claim is not None]
    of_others = {int(claim) for (claim,) in imported} if found else set[int]()
    return [kept[claim] for claim in own if claim in kept] + [
        stored for claim, stored in kept.items() if claim not in of_others
    ]
