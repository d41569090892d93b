from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vapo.data.claim_columns import read_claims, read_label
from vapo.data.columns import Columns, match_columns
from vapo.errors import DataError
from vapo.types import Claim

BASE = ["problem", "answer", "images"]


def read(row: dict[str, Any]) -> tuple[Claim, ...]:
    return read_claims(row, match_columns(Columns(), [*BASE, *row]))


texts = st.text(st.characters(codec="utf-8"), min_size=1).map(str.strip).filter(bool)
pools = st.lists(st.builds(Claim, texts, st.booleans()), max_size=8)


@given(pools)
def test_all_three_forms_read_the_same(pool: list[Claim]) -> None:
    as_list = {"claims": [{"text": claim.text, "is_true": claim.is_true} for claim in pool]}
    as_struct = {"claims": {"text": [c.text for c in pool], "is_true": [c.is_true for c in pool]}}
    as_pairs: dict[str, Any] = {}
    for number, claim in enumerate(pool, start=1):
        as_pairs[f"claim_{number}"] = claim.text
        as_pairs[f"label_{number}"] = "CORRECT" if claim.is_true else "WRONG"
    assert read(as_list) == read(as_struct) == read(as_pairs) == tuple(pool)


def test_a_claim_without_end_is_refused() -> None:
    for row in ({"claims": [{"text": "a" * 2001, "is_true": True}]}, {"claim_1": "a" * 100_000, "label_1": "WRONG"}):
        with pytest.raises(DataError, match="more than the 2000 of a claim; shorten it"):
            read(row)
    assert len(read({"claims": [{"text": " " + "a" * 2000, "is_true": True}]})) == 1


def test_labels_follow_their_claims_when_columns_are_shuffled() -> None:
    row = {"label_2": "WRONG", "claim_1": "a", "claim_2": "b", "label_1": "CORRECT"}
    assert read(row) == (Claim("a", True), Claim("b", False))


def test_a_row_may_have_fewer_claims_than_columns() -> None:
    row = {"claim_1": "a", "label_1": "CORRECT", "claim_2": None, "label_2": None}
    assert read(row) == (Claim("a", True),)


@pytest.mark.parametrize("label", ["CORRECT", "correct", " Correct ", "TRUE", "true", True])
def test_true_labels(label: object) -> None:
    assert read_label(label) is True


@pytest.mark.parametrize("label", ["WRONG", "wrong", False])
def test_wrong_labels(label: object) -> None:
    assert read_label(label) is False


@pytest.mark.parametrize("label", ["MAYBE", "", "t", "yes", "1", 0, 1, 0.5, ["CORRECT"]])
def test_a_label_that_is_neither_is_refused(label: object) -> None:
    with pytest.raises(DataError, match="is neither CORRECT nor WRONG"):
        read_label(label)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"claim_1": "a", "label_1": None}, "claim_1 has no label: label_1 is null"),
        ({"claim_1": None, "label_1": "WRONG"}, "label_1 has no claim: claim_1 is null"),
        ({"claim_1": "  ", "label_1": "WRONG"}, "claim_1 is empty"),
        ({"claim_1": 5, "label_1": "WRONG"}, "claim_1 is a int, not text"),
        ({"claims": [{"text": "", "is_true": True}]}, r"claims\[0\].text is empty"),
        ({"claims": [{"text": "a"}]}, r"claims\[0\] has no 'is_true'"),
        ({"claims": [{"is_true": True}]}, r"claims\[0\] has no 'text'"),
        ({"claims": ["a"]}, r"claims\[0\] is 'a', not"),
        ({"claims": "a"}, "claims is a str, not a list"),
        ({"claims": {"text": ["a"], "is_true": []}}, "1 texts but 0 labels"),
        ({"claims": {"claim": ["a"]}}, "needs the lists 'text' and 'is_true'; it has 'claim'"),
    ],
)
def test_a_bad_claim_says_which(row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(row)


def test_a_row_without_claims_has_an_empty_pool() -> None:
    assert read({"claims": None}) == read({"claims": []}) == read({}) == ()
