"""Take rows with claims over from a data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from vapo.api.images import MAX_PIXELS
from vapo.claims.exchange.rows import ClaimRow
from vapo.claims.store.subjects import StoredImage, encode_stored_image
from vapo.types import Claim

if TYPE_CHECKING:
    from PIL.Image import Image

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


def receive_rows(rows: Iterable[ReadRow], maker: str, max_pixels: int = MAX_PIXELS) -> Iterator[ClaimRow]:
    """Yield rows as they go into a store.

    Pictures that come out of a store keep their bytes and their names, even if what was sent to models is smaller than
    the picture that the name stands for.

    Args:
        rows: as they were read.
        maker: of claims that do not say who made them.
        max_pixels: of pictures that come from elsewhere; larger ones are made smaller, as they are for models.
    """
    for row in rows:
        if row.image_names:
            pairs = zip(row.image_names, row.images, row.contents, strict=True)
            images = tuple(_keep_picture(name, image, content) for name, image, content in pairs)
        else:
            images = tuple(encode_stored_image(image, max_pixels) for image in row.images)
        makers = tuple(row.makers) or (maker,) * len(row.claims)
        yield ClaimRow(row.source, row.name, images, tuple(row.claims), makers)


def _keep_picture(name: str, image: Image, content: bytes) -> StoredImage:
    for beginning, media_type in _MEDIA_TYPES.items():
        if content.startswith(beginning):
            return StoredImage(name, image.width, image.height, media_type, content)
    return replace(encode_stored_image(image), name=name)  # somebody has saved it in another format
