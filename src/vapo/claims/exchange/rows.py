"""Claims on their way into a store or out of it: a row with its images, whatever the file's format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Protocol

from vapo.api.images import MAX_PIXELS
from vapo.claims.filters.kinds import find_kind
from vapo.claims.repair import apply_annotations
from vapo.claims.store.annotations import read_annotations
from vapo.claims.store.claims import NewClaim, StoredClaim, add_claims, read_claims, read_row_claims, set_row_claims
from vapo.claims.store.images import StoredImage, add_image_set, add_row, encode_stored_image, read_images, read_rows
from vapo.claims.store.store import Store
from vapo.types import Claim

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """A row of a data set with the claims about its images.

    Attributes:
        source: the data set; with `name`, it names the row.
        name: the row's id there.
        images: its images as models were sent them.
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


def export_rows(store: Store, *, repaired: bool = True) -> Iterator[ClaimRow]:
    """Yield a store's rows in the order in which they came, each with the claims that are kept.

    Of a source that is a path, only the last part is told. Rows of several sources may have one name; it is then told
    with a number behind it.

    Args:
        store: the store.
        repaired: whether claims are as their reviewers would have them, or as they were made.
    """
    names: set[str] = set()
    for row in read_rows(store):
        annotations = read_annotations(store, image_set=row.image_set) if repaired else {}
        pool: list[tuple[Claim, StoredClaim]] = []
        for stored in read_row_claims(store, row):
            claim = apply_annotations(stored.claim, annotations.get(stored.id, ()))
            if claim is not None:
                pool.append((claim, stored))
        name = next(name for name in _number(row.name) if name not in names)
        names.add(name)
        yield ClaimRow(
            _shorten(row.source),
            name,
            read_images(store, row.image_set),
            tuple(claim for claim, _ in pool),
            tuple(stored.maker for _, stored in pool),
        )


def import_rows(store: Store, rows: Iterable[ClaimRow]) -> Imported:
    """Put rows into a store, all of them or none.

    A claim that the images have already, from the same maker, is not added again: a file can be imported twice.

    Args:
        store: the store.
        rows: read one by one while the store is being written.

    Raises:
        StoreError: the store cannot be written.
    """
    num_rows = num_claims = num_new = 0
    with store.writing():
        for row in rows:
            image_set = add_image_set(store, row.images)
            add_row(store, row.source, row.name, "", image_set)
            num_new += _add(store, image_set, row)
            set_row_claims(store, row.source, row.name, _find(store, image_set, row))
            num_rows += 1
            num_claims += len(row.claims)
    return Imported(num_rows, num_claims, num_new)


def _add(store: Store, image_set: int, row: ClaimRow) -> int:
    missing = Counter(_pair(row))
    missing.subtract(Counter((stored.claim, stored.maker) for stored in read_claims(store, image_set)))
    num_new = 0
    for claim, maker in _pair(row):
        if missing[claim, maker] > 0:
            missing[claim, maker] -= 1
            add_claims(store, image_set, maker, [NewClaim(claim, find_kind(claim.text))])
            num_new += 1
    return num_new


def _find(store: Store, image_set: int, row: ClaimRow) -> list[int]:
    """Return the numbers of a row's claims among its image set's, each number once."""
    numbers: dict[tuple[Claim, str], list[int]] = {}
    for stored in read_claims(store, image_set):
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


_MEDIA_TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}


class ReadRow(Protocol):
    """A row as it was read, see `vapo.data.claimed.ClaimedRow`."""

    @property
    def source(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def images(self) -> Sequence[Image]: ...
    @property
    def contents(self) -> Sequence[bytes]: ...
    @property
    def claims(self) -> Sequence[Claim]: ...
    @property
    def makers(self) -> Sequence[str]: ...
    @property
    def image_names(self) -> Sequence[str]: ...


def prepare_rows(rows: Iterable[ReadRow], maker: str, max_pixels: int = MAX_PIXELS) -> Iterator[ClaimRow]:
    """Yield rows as they go into a store.

    Images that come out of a store keep their bytes and their names, even if what was sent to models is smaller than
    the image that the name stands for.

    Args:
        rows: as they were read.
        maker: of claims that do not say who made them.
        max_pixels: of images that come from elsewhere; larger ones are made smaller, as they are for models.
    """
    for row in rows:
        if row.image_names:
            pairs = zip(row.image_names, row.images, row.contents, strict=True)
            images = tuple(_keep_image(name, image, content) for name, image, content in pairs)
        else:
            images = tuple(encode_stored_image(image, max_pixels) for image in row.images)
        makers = tuple(row.makers) or (maker,) * len(row.claims)
        yield ClaimRow(row.source, row.name, images, tuple(row.claims), makers)


def _keep_image(name: str, image: Image, content: bytes) -> StoredImage:
    for beginning, media_type in _MEDIA_TYPES.items():
        if content.startswith(beginning):
            return StoredImage(name, image.width, image.height, media_type, content)
    return replace(encode_stored_image(image), name=name)  # somebody has saved it in another format
