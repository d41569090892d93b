"""What claims are about, in a store: images, alone or together, and the rows they came from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vapo.api.images import MAX_PIXELS, encode_image
from vapo.claims.store.store import ForeignStoreError, Store
from vapo.core.image_names import name_image
from vapo.errors import ConfigError, DataError

if TYPE_CHECKING:
    from PIL.Image import Image


_NAME = re.compile(r"[0-9a-f]{64}")  # of a file too, where images are exported
MEDIA_TYPES = ("image/png", "image/jpeg")
"""Of images in a store; a page is served them under these names."""


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image as models are sent it.

    Attributes:
        name: of its pixels as it came; see `vapo.core.image_names`.
        width, height: as it came, upright, in pixels; `content` may be smaller.
        media_type: of `content`.
        content: the encoded file.
    """

    name: str
    width: int
    height: int
    media_type: str
    content: bytes


def encode_stored_image(image: Image, max_pixels: int = MAX_PIXELS) -> StoredImage:
    """Return an upright image as it is sent and kept; see `encode_image`."""
    encoded, rgb = encode_image(image, max_pixels), image if image.mode == "RGB" else image.convert("RGB")
    return StoredImage(name_image(rgb), image.width, image.height, encoded.media_type, encoded.content)


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A row of a data set, or a file of a folder, that shows an image set."""

    source: str
    name: str
    stamp: str
    image_set: int


def name_image_set(image_names: Sequence[str]) -> str:
    """Return the key of an image set: its image's name, or what stands for several names in their order."""
    if len(image_names) == 1:
        return image_names[0]
    return hashlib.sha256("\n".join(image_names).encode()).hexdigest()


def add_image_set(store: Store, images: Sequence[StoredImage]) -> int:
    """Return the number of the image set that these images are, added if it is new; call it while writing.

    An image that is there already keeps the bytes it was first stored with.
    """
    names = [image.name for image in images]
    key = name_image_set(names)
    known = find_image_set(store, key)
    if known is not None:
        return known
    store.execute_many(
        "INSERT OR IGNORE INTO images (name, width, height, media_type, content) VALUES (?, ?, ?, ?, ?)",
        [(image.name, image.width, image.height, image.media_type, image.content) for image in images],
    )
    image_set = store.insert("INSERT INTO subjects (key) VALUES (?)", (key,))
    store.execute_many(
        "INSERT INTO subject_images (subject, position, image) VALUES (?, ?, ?)",
        [(image_set, position, name) for position, name in enumerate(names)],
    )
    return image_set


def find_image_set(store: Store, key: str) -> int | None:
    """Return the number of the image set with this key; None if there is none."""
    found = store.read_one("SELECT id FROM subjects WHERE key = ?", (key,))
    return None if found is None else int(found[0])


def find_key(store: Store, image_set: int) -> str:
    """Return the key of an image set that is in the store."""
    found = store.read_one("SELECT key FROM subjects WHERE id = ?", (image_set,))
    assert found is not None
    return str(found[0])


def add_row(store: Store, source: str, name: str, stamp: str, image_set: int) -> None:
    """Record that a row shows an image set, whatever it showed before."""
    store.execute(
        "INSERT INTO rows (source, name, stamp, subject) VALUES (?, ?, ?, ?) ON CONFLICT (source, name) "
        "DO UPDATE SET stamp = excluded.stamp, subject = excluded.subject",
        (source, name, stamp, image_set),
    )


def find_row(store: Store, source: str, name: str) -> SourceRow | None:
    """Return the row of this name; None if the store does not have it."""
    found = store.read_one("SELECT stamp, subject FROM rows WHERE source = ? AND name = ?", (source, name))
    return None if found is None else SourceRow(source, name, str(found[0]), int(found[1]))


def read_rows(store: Store) -> Iterator[SourceRow]:
    """Yield all rows, in the order in which they came."""
    for source, name, stamp, image_set in store.stream("SELECT source, name, stamp, subject FROM rows ORDER BY rowid"):
        yield SourceRow(str(source), str(name), str(stamp), int(image_set))


def list_image_sets(store: Store) -> list[int]:
    """Return the numbers of all image sets, in the order in which they came."""
    return [int(number) for (number,) in store.read("SELECT id FROM subjects ORDER BY id")]


def read_images(store: Store, image_set: int) -> tuple[StoredImage, ...]:
    """Return an image set's images, in order.

    Raises:
        ForeignStoreError: one is not as vapo writes them.
    """
    found = store.read(
        "SELECT name, width, height, media_type, content FROM subject_images JOIN images ON images.name = image "
        "WHERE subject = ? ORDER BY position",
        (image_set,),
    )
    return tuple(_read_image(store, *values) for values in found)


def _read_image(store: Store, name: Any, width: Any, height: Any, media_type: Any, content: Any) -> StoredImage:
    named = isinstance(name, str) and _NAME.fullmatch(name)
    sized = all(isinstance(side, int) and side > 0 for side in (width, height))
    if not (named and sized and media_type in MEDIA_TYPES and isinstance(content, bytes)):
        raise ForeignStoreError(
            store.path,
            f"its image {str(name)[:80]!r} of type {str(media_type)[:80]!r} is not as vapo writes them: names are 64 "
            f"hexadecimal digits, types {' and '.join(MEDIA_TYPES)}",
        )
    return StoredImage(name, width, height, media_type, content)


def sample_image_sets(store: Store, num_images: int | None, seed: int) -> tuple[int, ...]:
    """Return image sets that have claims, in an order that depends on the seed and their pixels alone.

    However a store grows, the first ones are a random sample of it, and those that are in it stay in their order.

    Args:
        store: the store.
        num_images: how many image sets, at most; None for all.
        seed: of the order.

    Raises:
        ConfigError: `num_images` is below 1.
        DataError: no image set has claims.
    """
    if num_images is not None and num_images < 1:
        raise ConfigError(f"{num_images} images are none to look at; choose at least 1")
    found = store.read(
        "SELECT id, key FROM subjects WHERE EXISTS "
        "(SELECT 1 FROM claims WHERE subject = subjects.id AND rejected_for IS NULL)"
    )
    if not found:
        raise DataError(f"{store.path} holds no claims; make some with `vapo claims make`")
    ordered = sorted(found, key=lambda row: hashlib.sha256(f"{seed} {row[1]}".encode()).digest())
    return tuple(int(number) for number, _ in ordered[:num_images])
