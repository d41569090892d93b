from __future__ import annotations

import pytest
from claims.review.conftest import draw

from vapo.claims.review.session import ReviewSession
from vapo.claims.store.annotations import Annotation, read_annotations
from vapo.claims.store.images import add_image_set
from vapo.claims.store.store import Store, StoreError
from vapo.errors import ConfigError, DataError


def test_everyone_sees_the_same_images_in_the_same_order(path):
    orders = [ReviewSession(path, name).image_sets for name in ("ann", "bob")]
    assert orders[0] == orders[1] and sorted(orders[0]) == [1, 2, 3]
    assert ReviewSession(path, "ann", num_images=2).image_sets == orders[0][:2]
    assert len({ReviewSession(path, "ann", seed=seed).image_sets for seed in range(20)}) > 1
    with Store(path) as store, store.writing():
        add_image_set(store, [draw("grey")])
    assert ReviewSession(path, "ann").image_sets == orders[0]


def test_a_mark_is_in_the_store_at_once_and_shown_to_its_reviewer_alone(path):
    ann, bob = ReviewSession(path, "ann"), ReviewSession(path, "bob")
    claim = ann.show(0)["claims"][0]["id"]
    ann.annotate(claim, "wrong", text="  It is\n rather red. ", is_true=True)
    with Store(path) as store:
        assert read_annotations(store) == {claim: [Annotation(claim, "ann", "wrong", "It is rather red.", None)]}
    assert ann.show(0)["claims"][0]["annotation"] == {
        "judgement": "wrong",
        "text": "It is rather red.",
        "is_true": None,
    }
    assert bob.show(0)["claims"][0]["annotation"] is None
    assert [claim["text"] for claim in bob.show(0)["claims"]].count("No.") == 0  # rejected claims are not reviewed


def test_the_first_place_with_work_left(path):
    session = ReviewSession(path, "ann")
    assert session.find_unannotated() == 0
    for place in range(3):
        for claim in session.show(place)["claims"]:
            session.annotate(claim["id"], "right")
        assert session.find_unannotated() == (place + 1) % 3
    progress = session.measure()
    assert (progress.total, progress.figures.right, progress.figures.rate.value) == (9, 9, 0)


def test_undo_goes_back_in_the_order_of_marking_and_not_beyond_the_review(path):
    everything, first = ReviewSession(path, "ann"), ReviewSession(path, "ann", num_images=1)
    last = everything.show(2)["claims"][1]["id"]
    everything.annotate(last, "right")
    assert first.undo() is None  # the last annotation is on a claim that this review does not hold
    one, two = (claim["id"] for claim in first.show(0)["claims"][:2])
    first.annotate(one, "right")
    first.annotate(two, "unclear")
    assert [first.undo(), first.undo(), first.undo()] == [(0, two), (0, one), None]
    assert everything.undo() == (2, last)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"judgement": "maybe"}, "'maybe' is no judgement"),
        ({"claim": 999}, "claim 999 is not in this review"),
        ({"text": "  "}, "needs words"),
        ({"text": "x" * 501}, "501 characters is too long"),
        ({"text": "a\x00b"}, "cannot be shown"),
        ({"judgement": "right", "text": "It is rather red."}, "was wrong; judge it so"),
        ({"judgement": "unclear", "is_true": False}, "was wrong; judge it so"),
    ],
)
def test_what_cannot_be_marked_is_refused_and_stores_nothing(path, change, message):
    session = ReviewSession(path, "ann")
    claim = next(claim["id"] for claim in session.show(0)["claims"] if claim["is_true"])
    with pytest.raises(DataError, match=message):
        session.annotate(**{"claim": claim, "judgement": "wrong", **change})
    with Store(path) as store:
        assert read_annotations(store) == {}


def test_places_that_are_not_there(path):
    session = ReviewSession(path, "ann")
    for place in (-1, 3):
        with pytest.raises(DataError, match="there are 3"):
            session.show(place)
        with pytest.raises(DataError, match="there are 3"):
            session.read_image(place, 0)
    with pytest.raises(DataError, match="has no part 2"):
        session.read_image(0, 2)


def test_reviews_that_cannot_begin(path, tmp_path):
    with pytest.raises(StoreError, match="there is no store"):
        ReviewSession(tmp_path / "none.db", "ann")
    with pytest.raises(ConfigError, match="--reviewer"):
        ReviewSession(path, " ")
    with pytest.raises(ConfigError, match="0 images are none"):
        ReviewSession(path, "ann", num_images=0)
    with Store(tmp_path / "empty.db", create=True):
        pass
    with pytest.raises(DataError, match="holds no claims; make some"):
        ReviewSession(tmp_path / "empty.db", "ann")
