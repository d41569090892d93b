from __future__ import annotations

import pytest

from vapo.claims.store.claims import NewClaim, add_claims, read_claims
from vapo.claims.store.marks import Mark, add_mark, add_marks, read_marks, take_back
from vapo.claims.store.store import Store, StoreError
from vapo.claims.store.subjects import StoredImage, add_subject
from vapo.types import Claim


@pytest.fixture
def claims(store: Store) -> list[int]:
    """The numbers of two claims about one picture and one about another."""
    numbers: list[int] = []
    for name, texts in (("a", ("It rains.", "It snows.")), ("b", ("It hails.",))):
        with store.writing():
            subject = add_subject(store, [StoredImage(name, 1, 1, "image/png", b"")])
            add_claims(store, subject, "me", [NewClaim(Claim(text, True), "other") for text in texts])
        numbers += [claim.id for claim in read_claims(store, subject)]
    return numbers


def test_the_last_word_of_each_reviewer_counts(store: Store, claims: list[int]):
    first, second, other = claims
    marks = [
        Mark(first, "ann", "wrong"),
        Mark(first, "bob", "right"),
        Mark(first, "ann", "wrong", text="It pours.", is_true=False),
        Mark(second, "ann", "unclear"),
        Mark(other, "bob", "right"),
    ]
    for mark in marks[:2]:
        add_mark(store, mark)
    with store.writing():
        add_marks(store, marks[2:])
    assert read_marks(store) == {first: [marks[1], marks[2]], second: [marks[3]], other: [marks[4]]}
    assert read_marks(store, reviewer="ann") == {first: [marks[2]], second: [marks[3]]}
    subject = store.read("SELECT subject FROM claims WHERE id = ?", (other,))[0][0]
    assert read_marks(store, subject=subject) == {other: [marks[4]]}


def test_a_mark_taken_back_uncovers_the_one_before(store: Store, claims: list[int]):
    for mark in (Mark(claims[0], "ann", "right"), Mark(claims[0], "ann", "wrong"), Mark(claims[1], "bob", "right")):
        add_mark(store, mark)
    assert take_back(store, "ann", claims[1:]) is None
    assert take_back(store, "ann", claims) == claims[0]
    assert read_marks(store, reviewer="ann") == {claims[0]: [Mark(claims[0], "ann", "right")]}
    assert take_back(store, "ann", claims) == claims[0]
    assert take_back(store, "ann", claims) is None
    assert list(read_marks(store)) == [claims[1]]


def test_other_judgements_and_claims_are_refused_by_the_store(store: Store, claims: list[int]):
    with pytest.raises(StoreError, match="CHECK constraint failed"):
        add_mark(store, Mark(claims[0], "ann", "maybe"))  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="FOREIGN KEY constraint failed"):
        add_mark(store, Mark(999, "ann", "right"))
    assert read_marks(store) == {}
