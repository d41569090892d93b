"""Whatever goes wrong between client and server: no answer is lost, none is kept twice, and the counts add up."""

from __future__ import annotations

from collections import Counter

import pytest
from claims.making.fault_proxy import ANSWER_FAULTS, LINE_FAULTS, Fault, run_proxy
from claims.making.painted_rows import paint_rows
from openai_stub import Stub

from vapo.api.client import ModelClient
from vapo.claims.making.make import make_claims
from vapo.claims.making.response_parser import parse_response
from vapo.claims.making.settings import MakingSettings
from vapo.claims.store.claims import read_claims
from vapo.claims.store.images import list_image_sets
from vapo.claims.store.store import Store

RATE = 0.3


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("vapo.api.retry_policy._FIRST_S", 0.02)


def check(store: Store, stub: Stub, fault: Fault, count: int) -> None:
    with run_proxy(stub.url, fault, RATE) as proxy:
        server = ModelClient(proxy.url, concurrency=32, timeout_s=4.0 if fault == "stall" else 60.0, max_retries=30)
        counts = make_claims(paint_rows(count), store, server, MakingSettings(tries=30))
    assert RATE / 3 < proxy.spoilt / proxy.requests < RATE * 3, "the proxy spoils about as much as it should"
    bodies = [bytes(body) for (body,) in store.read("SELECT body FROM answers")]
    # None lost, none twice: the answers that the proxy handed over are those in the store.
    assert Counter(bodies) == Counter(proxy.answers)
    # Every row has one fate, and every image its claims, once.
    assert counts.by_status == {"full": count} and len(list_image_sets(store)) == count
    for image_set in list_image_sets(store):
        kept = [stored.claim for stored in read_claims(store, image_set)]
        assert Counter(claim.is_true for claim in kept) == {True: 10, False: 10}
        assert len({claim.text for claim in kept}) == 20
    # Counts add up: answers, and claims kept and rejected.
    states = dict(store.read("SELECT state, count(*) FROM requests GROUP BY state"))
    assert states == {"read": len(bodies)} and counts.requests == len(bodies)
    assert counts.tokens == 1500 * len(bodies)
    rejected = dict(store.read("SELECT rejected_for, count(*) FROM claims GROUP BY rejected_for"))
    assert rejected.pop(None) == counts.kept == 20 * count and rejected == counts.rejected
    assert sum(len(parse_response(body).claims) for body in bodies) == counts.kept + counts.rejected.total()
    if fault in LINE_FAULTS:
        assert len(bodies) == count and counts.rejected == {}
    elif fault == "too many":
        assert len(bodies) == count and set(counts.rejected) == {"surplus"}
    else:
        assert len(bodies) > count


@pytest.mark.parametrize("fault", [*LINE_FAULTS, *ANSWER_FAULTS])
def test_a_few_images_under_each_fault(store: Store, stub: Stub, fault: Fault):
    check(store, stub, fault, 20)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [*LINE_FAULTS, *ANSWER_FAULTS])
def test_a_thousand_images_under_each_fault(store: Store, stub: Stub, fault: Fault):
    check(store, stub, fault, 1000)
