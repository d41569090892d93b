"""Which images are looked at first: a random sample of a store, the same for every auditor and reviewer."""

from __future__ import annotations

import hashlib

from vapo.claims.store.store import Store
from vapo.errors import ConfigError, DataError


def sample_subjects(store: Store, num_images: int | None, seed: int) -> tuple[int, ...]:
    """Return subjects that have claims, in an order that depends on the seed and their pixels alone.

    However a store grows, the first ones are a random sample of it, and those that are in it stay in their order.

    Args:
        store: the store.
        num_images: how many subjects, at most; None for all.
        seed: of the order.

    Raises:
        ConfigError: `num_images` is below 1.
        DataError: no subject has claims.
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
