"""What the shipped checkpoint can do, on digits it never saw."""

from functools import cache

import pytest
from transformers import AutoModelForImageTextToText, AutoProcessor

from studies.cold_start.ability import Ability, measure_ability
from vapo.lab.claims import CLAIM_KINDS
from vapo.lab.shipped import shipped_checkpoint


@cache
def measure() -> Ability:
    folder = shipped_checkpoint()
    model = AutoModelForImageTextToText.from_pretrained(folder)
    processor = AutoProcessor.from_pretrained(folder)
    return measure_ability(model, processor, seed=17, answers=200, claim_scenes=40)


def test_it_is_small_and_says_where_it_comes_from():
    folder = shipped_checkpoint()
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 5_000_000
    readme = (folder / "README.md").read_text()
    for word in ("python -m studies build", "seed", "scikit-learn", "CC BY 4.0"):
        assert word in readme


def test_it_notes_what_cells_show():
    assert measure().notes >= 0.95


def test_it_judges_claims_at_the_start_of_a_response():
    ability = measure()
    assert set(ability.claims) == set(CLAIM_KINDS)
    assert min(ability.claims.values()) >= 0.95


def test_it_forgets_along_the_response():
    late = measure().late_claims
    assert late["quarter 1"] >= 0.9
    assert 0.55 <= late["quarter 4"] <= 0.8  # better than guessing: some responses look again


def test_it_solves_some_questions_and_could_solve_most():
    ability = measure()
    assert 0.25 <= ability.sampled["all"] <= 0.45
    assert min(ability.careful["early"], ability.careful["late"]) >= 0.8


def test_a_digit_asked_late_is_found_by_looking_alone():
    ability = measure()
    assert ability.careful["path"] >= ability.blind["path"] + 0.5
    assert ability.blind["path"] <= 0.3


@pytest.mark.slow
def test_a_larger_measure_agrees():
    folder = shipped_checkpoint()
    model = AutoModelForImageTextToText.from_pretrained(folder)
    ability = measure_ability(model, AutoProcessor.from_pretrained(folder), seed=23, answers=1000)
    assert ability.notes >= 0.95
    assert 0.25 <= ability.sampled["all"] <= 0.45
    assert min(ability.careful["early"], ability.careful["late"]) >= 0.85
