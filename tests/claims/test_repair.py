"""What reviewers make of a claim, case by case, and that the claim as it was made is never lost."""

from __future__ import annotations

import pytest

from vapo.claims.repair import apply_annotations, count_repaired, find_pool, read_pool
from vapo.claims.store.annotations import Annotation, add_annotation
from vapo.claims.store.claims import NewClaim, add_claims, read_claims
from vapo.claims.store.images import StoredImage, add_image_set
from vapo.claims.store.store import Store
from vapo.types import Claim

MADE = Claim("The cat is black.", is_true=True)


def annotation(judgement, reviewer="ann", **edit) -> Annotation:
    return Annotation(1, reviewer, judgement, **edit)


@pytest.mark.parametrize(
    ("annotations", "repaired"),
    [
        ([], MADE),
        ([annotation("right")], MADE),
        ([annotation("wrong")], Claim("The cat is black.", is_true=False)),
        ([annotation("wrong", is_true=False)], Claim("The cat is black.", is_true=False)),
        ([annotation("wrong", text="The cat is grey.")], Claim("The cat is grey.", is_true=True)),
        ([annotation("wrong", text="The cat is red.", is_true=False)], Claim("The cat is red.", is_true=False)),
        ([annotation("unclear")], None),
        ([annotation("right"), annotation("right", "bob")], MADE),
        ([annotation("right"), annotation("wrong", "bob")], None),
        ([annotation("wrong"), annotation("wrong", "bob", is_true=False)], Claim("The cat is black.", is_true=False)),
        ([annotation("wrong"), annotation("wrong", "bob", text="The cat is grey.")], None),
        ([annotation("unclear"), annotation("right", "bob")], None),
    ],
)
def test_what_reviewers_make_of_a_claim(annotations, repaired):
    assert apply_annotations(MADE, annotations) == repaired


def test_a_pool_is_what_is_left(store: Store):
    with store.writing():
        image_set = add_image_set(store, [StoredImage("pixels", 1, 1, "image/png", b"")])
        news = [NewClaim(MADE, "other"), NewClaim(Claim("Two mice.", False), "other", rejected_for="too short")]
        add_claims(store, image_set, "me", [*news, NewClaim(Claim("It snows.", False), "other")])
    cat, snow = read_claims(store, image_set)
    add_annotation(store, Annotation(cat.id, "ann", "wrong"))
    add_annotation(store, Annotation(snow.id, "ann", "unclear"))
    assert read_pool(store, image_set) == find_pool(store, ["pixels"]) == [Claim("The cat is black.", is_true=False)]
    assert read_pool(store, image_set, repaired=False) == [MADE, Claim("It snows.", False)]
    assert read_claims(store, image_set)[:2] == [cat, snow]
    assert find_pool(store, ["others"]) == []
    again = [Claim("The cat is black.", False), Claim("It snows.", True), Claim("It hails.", True)]
    with store.writing():
        add_claims(store, image_set, "me", [NewClaim(claim, "other") for claim in again])
    assert read_pool(store, image_set) == [Claim("The cat is black.", False), *again[1:]]  # each once
    assert read_pool(store, image_set, repaired=False) == [
        Claim("It hails.", True)
    ]  # what contradicts itself is left out
    assert count_repaired(store) == (1, 1)
