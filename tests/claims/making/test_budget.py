from __future__ import annotations

import pytest

from vapo.api.prices import Prices
from vapo.claims.making.budget import Budget, BudgetTracker, parse_budget
from vapo.claims.store.images import StoredImage
from vapo.claims.store.store import Store
from vapo.claims.store.workers import register_worker
from vapo.errors import ConfigError

IMAGE = StoredImage("a", 1400, 1400, "image/png", b"")


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("25usd", Budget(usd=25.0)),
        ("$0.5 USD", Budget(usd=0.5)),
        ("3 dollars", Budget(usd=3.0)),
        ("500ktok", Budget(tokens=500_000)),
        ("2.5 Mtokens", Budget(tokens=2_500_000)),
        ("100tok", Budget(tokens=100)),
    ],
)
def test_budgets_as_they_are_written(text: str, budget: Budget):
    assert parse_budget(text) == budget


@pytest.mark.parametrize("text", ["", "25", "usd", "-3usd", "0usd", "25eur", "1e3usd", "nanusd"])
def test_what_is_no_budget(text: str):
    with pytest.raises(ConfigError, match="write it as 25usd, 500ktok or 2mtok"):
        parse_budget(text)


def make_purse(store: Store, budget: Budget | None, prices: Prices | None = None) -> BudgetTracker:
    return BudgetTracker(store, register_worker(store), budget, prices, max_tokens=1000, max_pixels=980_000)


def test_what_a_request_may_cost_is_reserved_before_it_is_sent_by_all_workers(store: Store):
    # At first an image of 980,000 pixels counts 980,000 / 196 = 5,000 tokens, and each character of the text one.
    one, other = make_purse(store, Budget(tokens=12_000)), make_purse(store, Budget(tokens=12_000))
    with store.writing():
        first = one.reserve("x" * 10, [IMAGE])
        assert first is not None and first.tokens == 5_000 + 10 + 1_000
        assert other.reserve("x" * 10, [IMAGE]) is None and other.waits
        one.give_back(first)
        assert not one.waits
        second = other.reserve("x" * 10, [IMAGE])
        assert second is not None


def test_prompts_are_learned(store: Store):
    tracker = make_purse(store, Budget(tokens=10**6))
    tracker.learn(1_500, 1)
    tracker.learn(2_400, 2)
    with store.writing():
        # The largest prompt so far, per image, and half a token for each character of a text that may be longer.
        one, two = tracker.reserve("x" * 100, [IMAGE]), tracker.reserve("x" * 100, [IMAGE, IMAGE])
    assert one is not None and two is not None
    assert (one.tokens, two.tokens) == (1_500 + 50 + 1_000, 3_000 + 50 + 1_000)


def test_us_dollars_need_prices(store: Store):
    with pytest.raises(ConfigError, match=r"--prices READ WRITTEN"):
        make_purse(store, Budget(usd=1))
    tracker = make_purse(store, Budget(usd=0.02), Prices(2.0, 4.0))
    with store.writing():
        reserved = tracker.reserve("", [IMAGE])
    assert reserved is not None and reserved.usd == pytest.approx(5_000 * 2e-6 + 1_000 * 4e-6)
    with store.writing():
        assert tracker.reserve("", [IMAGE]) is None


def test_without_a_budget_nothing_is_reserved(store: Store):
    tracker = make_purse(store, None)
    with store.writing():
        reserved = tracker.reserve("x", [IMAGE])
        assert reserved is not None and reserved.tokens == 0 and not tracker.waits
        tracker.give_back(reserved)
    tracker.learn(0, 1)


def test_a_server_that_does_not_count_keeps_no_budget(store: Store):
    with pytest.raises(ConfigError, match="does not say how many tokens"):
        make_purse(store, Budget(tokens=10)).learn(0, 1)
