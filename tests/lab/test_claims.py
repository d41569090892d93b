"""The truth of claims is worked out here once more, from the words of the claim and the bare digits."""

import re

import numpy as np
import pytest

from vapo.lab.claims import CLAIM_KINDS, claim_kind, make_claims
from vapo.lab.world import GRIDS, Grid, draw_scene


def judge(text: str, digits: tuple[tuple[int, ...], ...]) -> bool:
    def at(name: str) -> int:
        return digits["UVWXYZ".index(name[1])]["ABCDEF".index(name[0])]

    every = [digit for line in digits for digit in line]
    if found := re.fullmatch(r"The picture shows (..)(\d)\.", text):
        return at(found[1]) == int(found[2])
    if found := re.fullmatch(r"There is a (\d)\.", text):
        return int(found[1]) in every
    found = re.fullmatch(r"(..) is larger than (..)\.", text)
    assert found is not None, text
    return at(found[1]) > at(found[2])


def draw_many(number: int):
    rng = np.random.default_rng(7)
    for index in range(number):
        grid = draw_scene(rng, *GRIDS[index % len(GRIDS)], "heldout").grid
        yield grid, make_claims(rng, grid)


def test_truth_balance_length_and_variety():
    for grid, claims in draw_many(200):
        assert [judge(claim.text, grid.digits) for claim in claims] == [claim.is_true for claim in claims]
        assert sum(claim.is_true for claim in claims) == 10
        assert len({claim.text for claim in claims}) == 20
        assert max(len(claim.text.split()) for claim in claims) <= 20


def test_every_kind_occurs_right_and_wrong_in_about_equal_parts():
    seen = [(claim_kind(claim.text), claim.is_true) for _, claims in draw_many(200) for claim in claims]
    for kind in CLAIM_KINDS:
        right, wrong = seen.count((kind, True)), seen.count((kind, False))
        assert right + wrong > 0.1 * len(seen)
        assert right == pytest.approx(wrong, rel=0.15)


def test_a_wrong_digit_of_a_cell_is_mostly_a_neighbours():
    near = total = 0
    for grid, claims in draw_many(100):
        for claim in claims:
            found = re.fullmatch(r"The picture shows (.)(.)(\d)\.", claim.text)
            if found and not claim.is_true:
                row, column = "UVWXYZ".index(found[2]), "ABCDEF".index(found[1])
                around = [(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)]
                near += int(found[3]) in [grid.digits[r][c] for r, c in around if (r, c) in grid.cells]
                total += 1
    assert near / total > 0.85


def test_an_odd_number_of_claims_is_refused():
    with pytest.raises(ValueError, match="even"):
        make_claims(np.random.default_rng(0), Grid(((1, 2), (3, 4))), number=5)


def test_more_claims_than_a_grid_gives_are_refused():
    with pytest.raises(ValueError, match="does not give"):
        make_claims(np.random.default_rng(0), Grid(((1, 2), (3, 4))), number=500)


def test_a_text_of_another_kind_has_no_kind():
    with pytest.raises(ValueError, match="not a claim of the lab"):
        claim_kind("The sky is blue.")
