"""Error rates and agreement of reviewers, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from vapo.claims.quality.rates import measure_rate
from vapo.claims.quality.reviews import measure_errors, measure_reviewer_agreement
from vapo.claims.store.annotations import Annotation

LETTERS = {"r": "right", "w": "wrong", "u": "unclear"}


def read(table: str):
    """Marks of claims 0, 1, ...: `rw` is right by the first reviewer and wrong by the second, `.` no annotation."""
    annotations = {
        claim: [
            Annotation(claim, name, LETTERS[letter])
            for name, letter in zip("ab", word, strict=False)
            if letter in LETTERS
        ]
        for claim, word in enumerate(table.split())
    }
    return {claim: given for claim, given in annotations.items() if given}, {
        claim: claim // 2 for claim in annotations
    }


def test_errors_are_counted_among_claims_that_are_right_or_wrong():
    figures = measure_errors(*read("r w u r r rr ww rw uu"))
    assert (figures.right, figures.wrong, figures.unclear, figures.disputed) == (4, 2, 2, 1)
    assert figures.num_claims == 9
    assert (figures.rate.count, figures.rate.total) == (2, 6)
    assert figures.rate.low < 1 / 3 < figures.rate.high
    assert measure_errors(*read("u uu")).rate is None


def test_agreement_by_hand():
    annotations, image_sets = read("rr rr ww rw r. .w")
    agreement = measure_reviewer_agreement(annotations, image_sets, np.random.default_rng(0))
    assert agreement.reviewers == ("a", "b")
    assert (agreement.same.count, agreement.same.total) == (3, 4)
    # 8 labels, 5 right: unlike pairs 2 seen, (64 - 25 - 9) / 7 by chance: alpha = 1 - 14 / 30.
    assert agreement.alpha == pytest.approx(1 - 14 / 30)
    assert agreement.interval[0] < agreement.alpha <= agreement.interval[1]


def test_nothing_to_compare():
    assert measure_reviewer_agreement(*read("r .w u"), np.random.default_rng(0)) is None
    agreement = measure_reviewer_agreement(*read("rr rr"), np.random.default_rng(0))
    assert agreement.alpha is None and agreement.interval is None and agreement.same.value == 1


def test_rates_know_that_claims_of_one_image_resemble_each_other():
    together = measure_rate((image_set, image_set < 5) for image_set in range(10) for _ in range(20))
    assert (together.count, together.total) == (100, 200) and together.high - together.low > 0.5
    apart = measure_rate((image_set, image_set < 100) for image_set in range(200))
    assert (apart.value, apart.total) == (0.5, 200) and apart.high - apart.low < 0.15
    assert measure_rate([]) is None
    assert str(apart) == "50.0% [43.1, 56.9] of 200"
