"""Claims on their way into a store or out of it: a row with its pictures, whatever the file's format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count

from vapo.claims.filters.kinds import find_kind
from vapo.claims.mending import mend_claim
from vapo.claims.store.claims import NewClaim, StoredClaim, add_claims, read_claims
from vapo.claims.store.marks import read_marks
from vapo.claims.store.row_claims import read_row_claims, set_row_claims
from vapo.claims.store.store import Store
from vapo.claims.store.subjects import StoredImage, add_row, add_subject, read_images, read_rows
from vapo.types import Claim


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """A row of a data set with the claims about its pictures.

    Attributes:
        source: the data set; with `name`, it names the row.
        name: the row's id there.
        images: its pictures as models were sent them.
        claims: in order.
        makers: who made each claim: a model, a program, a file.
    """

    source: str
    name: str
    images: tuple[StoredImage, ...]
    claims: tuple[Claim, ...]
    makers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import brought: `num_rows` rows with `num_claims` claims, of which `num_new` were not there before."""

    num_rows: int
    num_claims: int
    num_new: int

    def __str__(self) -> str:
        return f"{self.num_claims} claims of {self.num_rows} rows, {self.num_new} of them new"


def read_out(store: Store, *, mended: bool = True) -> Iterator[ClaimRow]:
    """Yield a store's rows in the order in which they came, each with the claims that are kept.

    Of a source that is a path, only the last part is told. Rows of several sources may have one name; it is then told
    with a number behind it.

    Args:
        store: the store.
        mended: whether claims are as their reviewers would have them, or as they were made.
    """
    names: set[str] = set()
    for row in read_rows(store):
        marks = read_marks(store, subject=row.subject) if mended else {}
        pool: list[tuple[Claim, StoredClaim]] = []
        for stored in read_row_claims(store, row):
            claim = mend_claim(stored.claim, marks.get(stored.id, ()))
            if claim is not None:
                pool.append((claim, stored))
        name = next(name for name in _number(row.name) if name not in names)
        names.add(name)
        yield ClaimRow(
            _shorten(row.source),
            name,
            read_images(store, row.subject),
            tuple(claim for claim, _ in pool),
            tuple(stored.maker for _, stored in pool),
        )


def read_in(store: Store, rows: Iterable[ClaimRow]) -> Imported:
    """Put rows into a store, all of them or none.

    A claim that the pictures have already, from the same maker, is not added again: a file can be imported twice.

    Args:
        store: the store.
        rows: read one by one while the store is being written.

    Raises:
        StoreError: the store cannot be written.
    """
    num_rows = num_claims = num_new = 0
    with store.writing():
        for row in rows:
            subject = add_subject(store, row.images)
            add_row(store, row.source, row.name, "", subject)
            num_new += _add(store, subject, row)
            set_row_claims(store, row.source, row.name, _find(store, subject, row))
            num_rows += 1
            num_claims += len(row.claims)
    return Imported(num_rows, num_claims, num_new)


def _add(store: Store, subject: int, row: ClaimRow) -> int:
    missing = Counter(_pair(row))
    missing.subtract(Counter((stored.claim, stored.maker) for stored in read_claims(store, subject)))
    num_new = 0
    for claim, maker in _pair(row):
        if missing[claim, maker] > 0:
            missing[claim, maker] -= 1
            add_claims(store, subject, maker, [NewClaim(claim, find_kind(claim.text))])
            num_new += 1
    return num_new


def _find(store: Store, subject: int, row: ClaimRow) -> list[int]:
    """Return the numbers of a row's claims among its subject's, each number once."""
    numbers: dict[tuple[Claim, str], list[int]] = {}
    for stored in read_claims(store, subject):
        numbers.setdefault((stored.claim, stored.maker), []).append(stored.id)
    return [numbers[pair].pop(0) for pair in _pair(row)]


def _pair(row: ClaimRow) -> list[tuple[Claim, str]]:
    return list(zip(row.claims, row.makers, strict=True))


def _number(name: str) -> Iterator[str]:
    yield name
    for number in count(2):
        yield f"{name} ({number})"


def _shorten(source: str) -> str:
    """Return a source without the folders of the machine it lies on; names on the hub stay."""
    return source.rpartition("/")[2] if source.startswith(("/", "~", ".")) or source.count("/") > 1 else source
