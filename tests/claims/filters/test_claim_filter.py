"""Among an image's claims: no duplicate, no negation of another, not too many of a kind, and no more than asked."""

from __future__ import annotations

import pytest

from vapo.claims.filters.claim_filter import filter_claims, make_pool
from vapo.claims.filters.rules import FilterSettings
from vapo.claims.filters.words import find_figures, reduce_words
from vapo.types import Claim

SETTINGS = FilterSettings()


def reasons(*claims: tuple[str, bool], per_image: int = 20, kept=(), **options) -> list[str | None]:
    pool = make_pool(per_image, [(Claim(text, truth), "other") for text, truth in kept])
    made = [Claim(text, truth) for text, truth in claims]
    return [new.rejected_for for new in filter_claims(made, pool, FilterSettings(**options))]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("A cat is sitting on the mat.", "The cat sits on a mat", True),
        ("Two cats sleep.", "There are 2 cats sleeping.", True),
        ("Two cats sleep.", "Two cats sleep soundly.", False),  # left to embeddings
        ("There are two cats.", "2 cats", True),
        ("AU is larger than BV.", "BV is larger than AU.", False),
        ("The image shows AU3.", "The image shows AU4.", False),
        ("There is a 3.", "There is a 8.", False),
        ("Angle A is larger than angle B.", "Angle B is larger than angle A.", False),
        ("The cup is left of the plate.", "The cup is right of the plate.", False),
    ],
)
def test_duplicates_are_the_same_words_in_the_same_order(one: str, other: str, same: bool):
    assert (reduce_words(one) == reduce_words(other)) == same
    assert reasons((one, True), (other, False)) == [None, "duplicate" if same else None]
    assert reasons((other, False), kept=[(one, True)]) == ["duplicate" if same else None]


def test_figures_are_what_a_claim_is_exact_about():
    assert find_figures("AU shows three of A's 12.5 items.") == {"AU", "3", "12.5"}
    assert find_figures("The image shows AU3.") != find_figures("The image shows AU4.")
    assert find_figures("A cat sits here; I see it.") == frozenset()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The cat is black.", "The cat is not black."),
        ("The man wears a hat.", "The man doesn't wear a hat."),
        ("There is a dog in the yard.", "There is no dog in the yard."),
    ],
)
def test_a_negation_of_another_claim_is_none_of_its_own(one: str, other: str):
    assert reasons((one, True), (other, False)) == [None, "negation"]
    assert reasons((other, False), (one, True)) == [None, "negation"]
    assert reasons((one, True), (other, False), without=frozenset(["negation"])) == [None, None]


def test_a_negative_claim_of_its_own_is_one():
    assert reasons(("No car is on the street.", True), ("The street is wet.", False)) == [None, None]


def test_plain_colours_and_numbers_are_capped():
    colours = [(f"The {thing} is red.", True) for thing in ("car", "house", "hat", "boat")]
    assert reasons(*colours, per_image=8) == [None, None, "colour", "colour"]
    numbers = [(f"There are three {thing}.", True) for thing in ("cars", "houses", "hats")]
    assert reasons(*numbers, per_image=8, max_counting=0.125) == [None, "counting", "counting"]
    assert reasons(*numbers, per_image=8, max_counting=0) == ["counting"] * 3
    assert reasons(*numbers, per_image=2, max_counting=0.1)[0] is None  # a share of few is at least one


def test_no_more_of_a_label_than_asked_for():
    claims = [(f"The {thing} sleeps.", True) for thing in ("cat", "dog", "bird")] + [("The cow eats.", False)]
    assert reasons(*claims, per_image=4) == [None, None, "surplus", None]
    assert reasons(*claims, per_image=4, kept=[("A fish swims.", True)]) == [None, "surplus", "surplus", None]


def test_the_first_objection_counts_and_what_is_rejected_takes_no_room():
    assert reasons(("The cat is maybe black.", True), ("The cat is black.", True), per_image=2) == ["hedge", None]


def test_likeness_finds_rephrasings():
    pool = make_pool(20, [])
    claims = [Claim("A kitten naps.", True), Claim("A young cat sleeps.", True), Claim("A dog barks.", False)]
    alike = {("A young cat sleeps.", "A kitten naps."): 0.96}
    new = filter_claims(claims, pool, SETTINGS, lambda one, other: alike.get((one, other), 0.5))
    assert [claim.rejected_for for claim in new] == [None, "duplicate", None]


def test_other_languages_have_no_kinds():
    pool = make_pool(2, [])
    new = filter_claims(
        [Claim("Das Auto ist rot und steht auf der Straße.", True)], pool, FilterSettings(language="German")
    )
    assert (new[0].kind, new[0].rejected_for) == ("other", None)
