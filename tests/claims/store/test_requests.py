from __future__ import annotations

import pytest

from vapo.claims.store.claims import NewClaim, add_claims, find_claim, read_claims
from vapo.claims.store.requests import (
    Question,
    RawAnswer,
    add_answer,
    count_attempts,
    find_unread,
    list_requests,
    mark_request,
    open_request,
    read_answer,
)
from vapo.claims.store.store import Store
from vapo.claims.store.subjects import StoredImage, add_subject
from vapo.types import Claim

QUESTION = Question("Look.", "v1", 10, 10, "model", "http://localhost", {"temperature": 0, "seed": 7})
ANSWER = RawAnswer(b'{"choices": [\xff', 0.5, "stop", 100, 10, 0.25)


@pytest.fixture
def subject(store: Store) -> int:
    with store.writing():
        return add_subject(store, [StoredImage("a", 1, 1, "image/png", b"a")])


def ask(store: Store, subject: int):
    with store.writing():
        return open_request(store, subject, QUESTION)


def test_answers_are_kept_byte_for_byte_and_once(store: Store, subject: int):
    request = ask(store, subject)
    assert (request.attempt, request.state, request.num_true) == (1, "asked", 10)
    assert read_answer(store, request.id) is None and find_unread(store, subject) == []
    assert add_answer(store, request.id, ANSWER)
    assert not add_answer(store, request.id, RawAnswer(b"late", 1, "stop", 1, 1, 1))
    assert read_answer(store, request.id) == ANSWER
    assert [found.id for found in find_unread(store, subject)] == [request.id]
    mark_request(store, request.id, "read", "no JSON")
    assert find_unread(store, subject) == [] and list_requests(store, subject)[0].trouble == "no JSON"


def test_only_answers_count_as_attempts(store: Store, subject: int):
    first = ask(store, subject)
    mark_request(store, first.id, "failed", "no answer")
    again = ask(store, subject)
    assert (again.id, again.attempt) == (first.id, 1) and count_attempts(store, subject) == 0
    lost = ask(store, subject)  # its process died in between
    assert lost.id == first.id
    add_answer(store, lost.id, ANSWER)
    second = ask(store, subject)
    assert (second.attempt, count_attempts(store, subject)) == (2, 1) and second.id != first.id


def test_claims_are_kept_or_rejected_and_found_again(store: Store, subject: int):
    request = ask(store, subject)
    new = [
        NewClaim(Claim("A cat sits.", True), "other"),
        NewClaim(Claim("Maybe a dog.", False), "other", "hedge"),
        NewClaim(Claim("Two cats.", False), "counting"),
    ]
    with store.writing():
        add_claims(store, subject, "model", new, request.id)
    kept, everything = read_claims(store, subject), read_claims(store, subject, rejected=True)
    assert [claim.claim for claim in kept] == [new[0].claim, new[2].claim]
    assert [claim.rejected_for for claim in everything] == [None, "hedge", None]
    assert find_claim(store, everything[1].id) == everything[1] and find_claim(store, 99) is None
    assert {claim.request for claim in everything} == {request.id}
