from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vapo.claims.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A new store, which must be undamaged in the end."""
    with Store(tmp_path / "claims.db", create=True) as opened:
        yield opened
        assert opened.find_damage() is None
