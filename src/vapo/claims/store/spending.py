"""What answers have cost, in a store, and what requests under way may still cost.

A budget is kept across processes: what a request may cost at most is reserved in the store before it is sent.
"""

from __future__ import annotations

from dataclasses import dataclass

from vapo.claims.store.store import Store


@dataclass(frozen=True, slots=True)
class Spending:
    """Tokens read and written, and US dollars."""

    prompt_tokens: int
    completion_tokens: int
    usd: float

    @property
    def tokens(self) -> int:
        """Tokens in all."""
        return self.prompt_tokens + self.completion_tokens


def read_spending(store: Store) -> Spending:
    """Return what all answers have cost."""
    found = store.read_one("SELECT prompt_tokens, completion_tokens, usd FROM spending")
    assert found is not None
    return Spending(*found)


def read_reserved(store: Store) -> tuple[int, float]:
    """Return the tokens and US dollars that requests under way may still cost, in all processes."""
    found = store.read_one("SELECT coalesce(sum(reserved_tokens), 0), coalesce(sum(reserved_usd), 0.0) FROM workers")
    assert found is not None
    return int(found[0]), float(found[1])


def reserve(store: Store, worker: int, tokens: int, usd: float) -> None:
    """Add to what a worker's requests may still cost; negative numbers give back. Call it while writing."""
    store.execute(
        "UPDATE workers SET reserved_tokens = max(0, reserved_tokens + ?), reserved_usd = max(0, reserved_usd + ?) "
        "WHERE id = ?",
        (tokens, usd, worker),
    )
