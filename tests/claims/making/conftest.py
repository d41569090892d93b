from __future__ import annotations

from collections.abc import Iterator

import pytest
from claims.making.claim_writer import answer
from openai_stub import CHAT, Stub, run_stub


@pytest.fixture(autouse=True)
def own_key(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-this-is-secret")


@pytest.fixture
def stub() -> Iterator[Stub]:
    with run_stub() as opened:
        opened.script[CHAT] = [answer]
        yield opened
