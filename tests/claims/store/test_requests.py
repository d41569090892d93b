from __future__ import annotations

import pytest

from vapo.claims.store.claims import NewClaim, add_claims, find_claim, read_claims
from vapo.claims.store.images import StoredImage, add_image_set
from vapo.claims.store.requests import (
    NewRequest,
    Response,
    Spending,
    add_answer,
    list_requests,
    open_request,
    read_answer,
    read_reserved,
    read_spending,
    reserve,
    set_request_state,
)
from vapo.claims.store.store import Store
from vapo.claims.store.workers import register_worker, remove_worker
from vapo.types import Claim

QUESTION = NewRequest("Look.", "v1", 10, 10, "model", "http://localhost", {"temperature": 0, "seed": 7})
ANSWER = Response(b'{"choices": [\xff', 0.5, "stop", 100, 10, 0.25)


@pytest.fixture
def image_set(store: Store) -> int:
    with store.writing():
        return add_image_set(store, [StoredImage("a", 1, 1, "image/png", b"a")])


def ask(store: Store, image_set: int):
    with store.writing():
        return open_request(store, image_set, QUESTION)


def answer(store: Store, request: int, given: Response = ANSWER) -> bool:
    with store.writing():
        return add_answer(store, request, given)


def test_answers_are_kept_byte_for_byte_and_once(store: Store, image_set: int):
    request = ask(store, image_set)
    assert (request.attempt, request.state, request.num_true) == (1, "asked", 10)
    assert read_answer(store, request.id) is None
    assert answer(store, request.id)
    assert not answer(store, request.id, Response(b"late", 1, "stop", 1, 1, 1))
    assert read_answer(store, request.id) == ANSWER and list_requests(store, image_set)[0].state == "answered"
    set_request_state(store, request.id, "read", "no JSON")
    assert [(found.state, found.trouble) for found in list_requests(store, image_set)] == [("read", "no JSON")]


def test_what_was_not_answered_is_asked_again_under_its_number(store: Store, image_set: int):
    first = ask(store, image_set)
    set_request_state(store, first.id, "failed", "no answer")
    again = ask(store, image_set)
    assert (again.id, again.attempt, again.trouble) == (first.id, 1, None)
    lost = ask(store, image_set)  # its process died in between
    assert lost.id == first.id
    answer(store, lost.id)
    second = ask(store, image_set)
    assert second.attempt == 2 and second.id != first.id


def test_spending_adds_up(store: Store, image_set: int):
    assert read_spending(store).tokens == 0
    for _ in range(3):
        request = ask(store, image_set)
        answer(store, request.id)
        assert not answer(store, request.id)
    assert read_spending(store) == Spending(300, 30, 0.75) and read_spending(store).tokens == 330


def test_what_is_reserved_is_freed_with_its_worker(store: Store):
    one, other = register_worker(store), register_worker(store)
    reserve(store, one, 100, 0.5)
    reserve(store, other, 10, 0.25)
    assert read_reserved(store) == (110, 0.75)
    reserve(store, one, -40, -0.5)
    assert read_reserved(store) == (70, 0.25)
    remove_worker(store, one)
    assert read_reserved(store) == (10, 0.25)


def test_claims_are_kept_or_rejected_and_found_again(store: Store, image_set: int):
    request = ask(store, image_set)
    new = [
        NewClaim(Claim("A cat sits.", True), "other"),
        NewClaim(Claim("Maybe a dog.", False), "other", "hedge"),
        NewClaim(Claim("Two cats.", False), "counting"),
    ]
    with store.writing():
        add_claims(store, image_set, "model", new, request.id)
    kept, everything = read_claims(store, image_set), read_claims(store, image_set, rejected=True)
    assert [claim.claim for claim in kept] == [new[0].claim, new[2].claim]
    assert [claim.rejected_for for claim in everything] == [None, "hedge", None]
    assert find_claim(store, everything[1].id) == everything[1] and find_claim(store, 99) is None
    assert {claim.request for claim in everything} == {request.id}
