"""One run of making claims against the stub, and what is in its store afterwards."""

from __future__ import annotations

from collections import Counter
from typing import Any

from openai_stub import Stub

from vapo.api.client import ModelClient
from vapo.claims.making.counts import RunCounts
from vapo.claims.making.make import make_claims
from vapo.claims.making.settings import MakingSettings
from vapo.claims.store.claims import read_claims
from vapo.claims.store.images import list_image_sets, read_rows
from vapo.claims.store.store import Store


def make(store: Store, stub: Stub, rows: Any, *, server: dict[str, Any] | None = None, **options: Any) -> RunCounts:
    callbacks = {name: options.pop(name) for name in ("on_progress", "on_notice", "embedder") if name in options}
    with_defaults = {"concurrency": 4, "timeout_s": 5.0, "max_retries": 3, **(server or {})}
    return make_claims(rows, store, ModelClient(stub.url, **with_defaults), MakingSettings(**options), **callbacks)


def labels(store: Store, image_set: int) -> Counter[bool]:
    return Counter(claim.claim.is_true for claim in read_claims(store, image_set))


def contents(store: Store) -> dict[str, list[tuple[str, bool]]]:
    """What a store holds of each row, to compare stores by."""
    kept = {s: [(c.claim.text, c.claim.is_true) for c in read_claims(store, s)] for s in list_image_sets(store)}
    return {row.name: kept[row.image_set] for row in read_rows(store)}
