"""Each filter objects to what it is for, and to nothing that a good claim would say."""

from __future__ import annotations

import pytest

from vapo.claims.filters.languages import SCRIPTS, is_in_language
from vapo.claims.filters.rules import FILTERS, REASONS, FilterSettings, find_rejection_reason
from vapo.errors import ConfigError
from vapo.lab.claims import make_claims
from vapo.lab.world import GRIDS, draw_scene

SETTINGS = FilterSettings()

GOOD = [
    "A black and white cat sits on the sofa.",
    "A man and a woman are sitting at the table.",
    'The sign on the left reads "Maybe you are right; isn\'t it?"',
    "Two dogs run across the field.",
    "The may tree stands behind the church of St. Paul.",
    "The clock shows 3.15 p.m. on its face.",
    "There is a small boat near the shore.",
    "Line segment AB is longer than CD.",
    "The chart's y-axis ranges from 0 to 1.5.",
    "The woman wears a T-shirt with the word 'QUESTION' on it.",
    "No cars are parked on the street.",
    "Der is written above the door.",
]

BAD = {
    "length": ["The " + "very " * 19 + "big cat sits."],
    "special token": [
        "A <|im_end|> cat sits.",
        "The </think> sign.",
        "[INST] A cat",
        "<image> of it",
        "User: hi",
        "A <0x0A> cat sits.",
        "A ＜ｉｍａｇｅ＞ of it.",
        "A <｜end▁of▁sentence｜> cat.",
        "［ＩＮＳＴ］ A cat",
        "Ｕｓｅｒ： hi",
        "A <\u200b|im_end|> cat.",
        "A \u202etac\u202c sits.",
        "A \u2066cat\u2069 sits.",
        "A c\u00adat sits.",
        "A cat\x1b[31m sits.",
        "A us\u200der cat.",
        "A cat\ufeff sits.",
        "A cat \ue000 sits.",
        "A cat \U000e0041 sits.",
    ],
    "language": ["Eine Katze sitzt auf dem Sofa und ist müde.", "Кошка сидит на диване.", "一只猫坐在沙发上"],
    "hedge": [
        "The cat is probably asleep.",
        "Perhaps the cat is asleep.",
        "The man appears to be sad.",
        "It looks like a church.",
        "The bottle might be full.",
        "The sky suggests rain.",
    ],
    "several facts": [
        "A cat sits on the sofa. A dog lies under it.",
        "The cat is black; the dog is white.",
        "The man wears a hat and holds a cup.",
        "The cat is asleep, while the dog is awake.",
        "The sofa, which is red, has two cushions, but the chair has none.",
    ],
    "no statement": ["Is the cat black?", "Cat."],
    "task": [
        "The correct answer is 5.",
        "The question asks about a cat.",
        "This claim is false.",
        "Option B is shown in the image.",
    ],
}


@pytest.mark.parametrize("text", GOOD)
def test_good_claims_pass(text: str):
    assert find_rejection_reason(text, SETTINGS) is None


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in BAD.items() for text in texts])
def test_bad_claims_do_not_and_the_reason_is_named(name: str, text: str):
    assert find_rejection_reason(text, SETTINGS) == name
    assert find_rejection_reason(text, FilterSettings(without=frozenset([name]))) != name


def test_every_filter_is_tried_here_and_has_its_words():
    assert set(BAD) == set(FILTERS) and set(FILTERS) < set(REASONS)


def test_all_claims_of_the_lab_pass():
    import numpy as np

    rng = np.random.default_rng(0)
    for number in range(60):
        claims = make_claims(rng, draw_scene(rng, *GRIDS[number % len(GRIDS)], "heldout").grid)
        assert [claim for claim in claims if find_rejection_reason(claim.text, SETTINGS)] == []


@pytest.mark.parametrize(
    ("text", "language", "is_in"),
    [
        ("Eine Katze sitzt auf dem Sofa.", "German", True),
        ("A cat sits on the sofa.", "German", False),
        ("Un chat est assis sur le canapé.", "French", True),
        ("Un gato está sentado en el sofá.", "Spanish", True),
        ("Un gato está sentado en el sofá.", "Italian", False),
        ("一只猫坐在沙发上。", "Chinese", True),
        ("一只猫坐在沙发上。", "Japanese", False),
        ("猫がソファに座っている。", "Japanese", True),
        ("고양이가 소파에 앉아 있다.", "Korean", True),
        ("Кошка сидит на диване.", "Russian", True),
        ("Кошка сидит на диване.", "English", False),
        ('The sign reads "Вход воспрещён".', "English", True),
        ("x = 3", "English", True),
        ("Kot śpi na kanapie.", "Polish", True),
    ],
)
def test_languages(text: str, language: str, is_in: bool):
    assert is_in_language(text, language) == is_in


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_words": 0}, "at least 1"),
        ({"max_colour": 1.5}, r"max_colour is 1.5; it must be in \[0, 1\]"),
        ({"without": frozenset(["hegde"])}, "no filter 'hegde'; the filters are length"),
        ({"language": "Klingon"}, "'Klingon' cannot be told .* name one of English"),
    ],
)
def test_settings_out_of_range_are_refused(options: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        FilterSettings(**options)
    assert "Klingon" not in SCRIPTS and FilterSettings(language="Klingon", without=frozenset(["language"]))
