from __future__ import annotations

import pytest

from vapo.claims.store.annotations import (
    Annotation,
    add_annotation,
    add_annotations,
    read_annotations,
    remove_last_annotation,
)
from vapo.claims.store.claims import NewClaim, add_claims, read_claims
from vapo.claims.store.images import StoredImage, add_image_set
from vapo.claims.store.store import Store, StoreError
from vapo.types import Claim


@pytest.fixture
def claims(store: Store) -> list[int]:
    """The numbers of two claims about one image and one about another."""
    numbers: list[int] = []
    for name, texts in (("a", ("It rains.", "It snows.")), ("b", ("It hails.",))):
        with store.writing():
            image_set = add_image_set(store, [StoredImage(name, 1, 1, "image/png", b"")])
            add_claims(store, image_set, "me", [NewClaim(Claim(text, True), "other") for text in texts])
        numbers += [claim.id for claim in read_claims(store, image_set)]
    return numbers


def test_the_last_word_of_each_reviewer_counts(store: Store, claims: list[int]):
    first, second, other = claims
    annotations = [
        Annotation(first, "ann", "wrong"),
        Annotation(first, "bob", "right"),
        Annotation(first, "ann", "wrong", text="It pours.", is_true=False),
        Annotation(second, "ann", "unclear"),
        Annotation(other, "bob", "right"),
    ]
    for annotation in annotations[:2]:
        add_annotation(store, annotation)
    with store.writing():
        add_annotations(store, annotations[2:])
    assert read_annotations(store) == {
        first: [annotations[1], annotations[2]],
        second: [annotations[3]],
        other: [annotations[4]],
    }
    assert read_annotations(store, reviewer="ann") == {first: [annotations[2]], second: [annotations[3]]}
    image_set = store.read("SELECT subject FROM claims WHERE id = ?", (other,))[0][0]
    assert read_annotations(store, image_set=image_set) == {other: [annotations[4]]}


def test_a_mark_taken_back_uncovers_the_one_before(store: Store, claims: list[int]):
    for annotation in (
        Annotation(claims[0], "ann", "right"),
        Annotation(claims[0], "ann", "wrong"),
        Annotation(claims[1], "bob", "right"),
    ):
        add_annotation(store, annotation)
    assert remove_last_annotation(store, "ann", claims[1:]) is None
    assert remove_last_annotation(store, "ann", claims) == claims[0]
    assert read_annotations(store, reviewer="ann") == {claims[0]: [Annotation(claims[0], "ann", "right")]}
    assert remove_last_annotation(store, "ann", claims) == claims[0]
    assert remove_last_annotation(store, "ann", claims) is None
    assert list(read_annotations(store)) == [claims[1]]


def test_other_judgements_and_claims_are_refused_by_the_store(store: Store, claims: list[int]):
    with pytest.raises(StoreError, match="CHECK constraint failed"):
        add_annotation(store, Annotation(claims[0], "ann", "maybe"))  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="FOREIGN KEY constraint failed"):
        add_annotation(store, Annotation(999, "ann", "right"))
    assert read_annotations(store) == {}
