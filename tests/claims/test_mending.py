"""What reviewers make of a claim, case by case, and that the claim as it was made is never lost."""

from __future__ import annotations

import pytest

from vapo.claims.mending import count_mended, find_pool, mend_claim, read_pool
from vapo.claims.store.claims import NewClaim, add_claims, read_claims
from vapo.claims.store.marks import Mark, add_mark
from vapo.claims.store.store import Store
from vapo.claims.store.subjects import StoredImage, add_subject
from vapo.types import Claim

MADE = Claim("The cat is black.", is_true=True)


def mark(judgement, reviewer="ann", **edit) -> Mark:
    return Mark(1, reviewer, judgement, **edit)


@pytest.mark.parametrize(
    ("marks", "mended"),
    [
        ([], MADE),
        ([mark("right")], MADE),
        ([mark("wrong")], Claim("The cat is black.", is_true=False)),
        ([mark("wrong", is_true=False)], Claim("The cat is black.", is_true=False)),
        ([mark("wrong", text="The cat is grey.")], Claim("The cat is grey.", is_true=True)),
        ([mark("wrong", text="The cat is red.", is_true=False)], Claim("The cat is red.", is_true=False)),
        ([mark("unclear")], None),
        ([mark("right"), mark("right", "bob")], MADE),
        ([mark("right"), mark("wrong", "bob")], None),
        ([mark("wrong"), mark("wrong", "bob", is_true=False)], Claim("The cat is black.", is_true=False)),
        ([mark("wrong"), mark("wrong", "bob", text="The cat is grey.")], None),
        ([mark("unclear"), mark("right", "bob")], None),
    ],
)
def test_what_reviewers_make_of_a_claim(marks, mended):
    assert mend_claim(MADE, marks) == mended


def test_a_pool_is_what_is_left(store: Store):
    with store.writing():
        subject = add_subject(store, [StoredImage("pixels", 1, 1, "image/png", b"")])
        news = [NewClaim(MADE, "other"), NewClaim(Claim("Two mice.", False), "other", rejected_for="too short")]
        add_claims(store, subject, "me", [*news, NewClaim(Claim("It snows.", False), "other")])
    cat, snow = read_claims(store, subject)
    add_mark(store, Mark(cat.id, "ann", "wrong"))
    add_mark(store, Mark(snow.id, "ann", "unclear"))
    assert read_pool(store, subject) == find_pool(store, ["pixels"]) == [Claim("The cat is black.", is_true=False)]
    assert read_pool(store, subject, mended=False) == [MADE, Claim("It snows.", False)]
    assert read_claims(store, subject)[:2] == [cat, snow]
    assert find_pool(store, ["others"]) == []
    again = [Claim("The cat is black.", False), Claim("It snows.", True), Claim("It hails.", True)]
    with store.writing():
        add_claims(store, subject, "me", [NewClaim(claim, "other") for claim in again])
    assert read_pool(store, subject) == [Claim("The cat is black.", False), *again[1:]]  # each once
    assert read_pool(store, subject, mended=False) == [Claim("It hails.", True)]  # what contradicts itself is left out
    assert count_mended(store) == (1, 1)
