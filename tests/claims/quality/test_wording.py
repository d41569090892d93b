"""The blind test: sets whose wording tells the truth are reported with that wording, and fair ones are not."""

import numpy as np
import pytest

from vapo.claims.quality.wording import MIN_GROUPS, measure_wording
from vapo.types import Claim

THINGS = ("dog", "red car", "tall tree", "boat", "lamp", "white house", "river", "bridge", "cup", "clock")


def make_fair(num_images: int, seed: int = 0, **claim_of) -> tuple[list[Claim], list[int]]:
    """Ten claims per image whose truth is a coin's; `true` and `false` may word them after their truth."""
    rng = np.random.default_rng(seed)
    claims, groups = [], []
    for image in range(num_images):
        for is_true in rng.permutation([True, False] * 5):
            thing = THINGS[rng.integers(len(THINGS))]
            text = f"There is a {thing} in the {rng.choice(['left', 'right', 'middle'])}."
            word = claim_of.get("true" if is_true else "false", lambda text, rng: text)
            claims.append(Claim(word(text, rng), bool(is_true)))
            groups.append(image)
    return claims, groups


def test_fair_claims_are_guessed():
    found = measure_wording(*make_fair(300))
    assert found.low <= 0.5 <= found.high and found.high - found.low < 0.06
    assert found.tells == () and not found.gives_away
    assert found.longer_is_true[1] <= 0.5 <= found.longer_is_true[2]
    assert (found.num_claims, found.num_groups) == (3000, 300)


def negate(text, rng):
    return text.replace("is a", "is not a") if rng.random() < 0.5 else text


def test_a_word_of_false_claims_is_named():
    found = measure_wording(*make_fair(60, false=negate))
    # Half of the false claims are told by "not", the others are guessed: 0.5 + 0.25 of all.
    assert found.accuracy == pytest.approx(0.75, abs=0.04) and found.gives_away
    assert found.tells[0].words == "not"
    assert found.tells[0].num_true == 0 and found.tells[0].num_claims > 100
    assert not any("not" in tell.words for tell in found.tells[1:])  # said once


def test_longer_true_claims_are_told():
    adverb = ("clearly", "plainly", "surely", "just", "still", "also")
    found = measure_wording(*make_fair(60, true=lambda text, rng: f"{text[:-1]} {' '.join(rng.permutation(adverb))}."))
    assert found.words_if_true - found.words_if_false == pytest.approx(6, abs=0.3)
    assert found.longer_is_true[0] > 0.95
    found = measure_wording(*make_fair(60, false=lambda text, rng: text.replace(" in the", "")))
    assert found.words_if_true > found.words_if_false and found.accuracy > 0.9


def test_what_is_known_of_an_image_does_not_count():
    """A name that stands in one image's claims alone tells nothing about other images, whatever it tells there."""
    claims, groups = make_fair(60)
    named = [
        Claim(f"{claim.text} x{group}{'y' if claim.is_true else 'n'}", claim.is_true)
        for claim, group in zip(claims, groups, strict=True)
    ]
    found = measure_wording(named, groups)
    assert found.low <= 0.5 <= found.high


def test_false_alarms_are_as_rare_as_promised():
    """Also where there are more true than false claims: a balanced accuracy knows no better guess than 0.5."""
    alarms = 0
    for seed in range(40):
        claims, groups = make_fair(60, seed)
        kept = [number for number, claim in enumerate(claims) if claim.is_true or number % 3 or seed % 2]
        found = measure_wording([claims[number] for number in kept], [groups[number] for number in kept])
        assert not found.gives_away
        alarms += not found.low <= 0.5 <= found.high or found.tells != ()
    assert alarms <= 5  # 2 are expected for intervals and words each; more than 5 of 40 at 10 % happens in 1 of 5


def test_large_sets_are_sampled_by_image(monkeypatch):
    monkeypatch.setattr("vapo.claims.quality.wording.MAX_CLAIMS", 205)
    found = measure_wording(*make_fair(60))
    assert (found.num_claims, found.num_groups) == (200, 20)


def test_what_cannot_be_measured_is_not():
    assert measure_wording([], []) is None
    assert measure_wording(*make_fair(MIN_GROUPS - 1)) is None
    assert measure_wording([Claim("It is.", True)] * 40, list(range(40))) is None
    with pytest.raises(ValueError, match="one image per claim"):
        measure_wording([Claim("It is.", True)], [])


def test_groups_with_one_truth_only():
    claims = [Claim(f"Thing {number % 7}.", number < 30) for number in range(40)]
    found = measure_wording(claims, list(range(40)))
    assert 0 <= found.low <= found.accuracy <= found.high <= 1
    assert found.longer_is_true is None


def test_words_of_any_script_count():
    claims, groups = make_fair(40, false=lambda text, rng: f"{text} 没有 😀")
    assert measure_wording(claims, groups).tells[0].words == "没有"
