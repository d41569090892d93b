"""Each protocol on a scripted model, with numbers worked by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from diagnosis.scripted_model import ScriptedModel, as_rollout, make_question
from diagnosis.test_responses import RESPONSE, read

from vapo.core.boundaries import THINK_TAGS
from vapo.diagnosis.attention import measure_attention
from vapo.diagnosis.early_decision import decide_early
from vapo.diagnosis.error_causes import find_cause, find_majority
from vapo.diagnosis.findings import Category, EarlyAnswer, Sensitivity
from vapo.diagnosis.image_sensitivity import dependent_share, measure_sensitivity
from vapo.diagnosis.perception_by_depth import choose_depths, draw_balanced_claims, probe_by_depth
from vapo.diagnosis.protocols import choose_protocols
from vapo.diagnosis.remedies import focus, replay
from vapo.diagnosis.responses import read_response
from vapo.diagnosis.settings import CLOSING_SENTENCE, DiagnosisSettings, make_settings
from vapo.errors import ConfigError
from vapo.models.diagnosed_model import Cut, View
from vapo.types import Probe, Sample


def test_early_decision_cuts_at_boundaries_and_asks_each_place_once():
    diagnosed_model = ScriptedModel({}, early=lambda cut: "\\boxed{8}" if 10 <= cut.index < 18 else "\\boxed{9}")
    (answers,) = decide_early(diagnosed_model, [read(RESPONSE)], DiagnosisSettings(step=25))
    # 0 -> 7, 0.25 -> 10.75 -> 10, 0.5 -> 14.5 -> 14, 0.75 -> 18.25 -> 18, 1 -> the response's own answer
    assert answers == (
        EarlyAnswer(0.0, 7, "9", False),
        EarlyAnswer(0.25, 10, "8", True),
        EarlyAnswer(0.5, 14, "8", True),
        EarlyAnswer(0.75, 18, "9", False),
        EarlyAnswer(1.0, 22, "8", True),
    )
    decide_early(diagnosed_model, [read(RESPONSE)], DiagnosisSettings(step=5))
    assert diagnosed_model.asked["cuts"] == 4 + 5  # 21 depths lie at 5 places; the end is not asked
    assert [cut.suffix for cut in diagnosed_model.cuts[:2]] == [CLOSING_SENTENCE, f" {CLOSING_SENTENCE}"]


def test_a_response_without_tags_is_closed_without_one():
    diagnosed_model = ScriptedModel({})
    decide_early(diagnosed_model, [read("I see 3, then 5. So \\boxed{8}")], DiagnosisSettings(step=50))
    assert diagnosed_model.cuts and all("</think>" not in cut.suffix for cut in diagnosed_model.cuts)


def test_a_response_without_boundary_is_asked_at_once_and_at_its_end():
    (answers,) = decide_early(ScriptedModel({}), [read("<think>no mark</think>\\boxed{8}")], DiagnosisSettings())
    assert [(answer.depth, answer.right) for answer in answers] == [(0.0, False), (1.0, True)]


@pytest.mark.parametrize(
    ("step", "depths"), [(50, (0, 0.5, 1)), (30, (0, 0.3, 0.6, 0.9, 1)), (100, (0, 1)), (12.5, 9)]
)
def test_steps_always_end_at_the_end(step: float, depths: tuple[float, ...] | int):
    found = DiagnosisSettings(step=step).cut_depths()
    assert found == depths if isinstance(depths, tuple) else len(found) == depths
    assert found[0] == 0 and found[-1] == 1


def test_claims_are_asked_before_and_along_the_response_under_each_view():
    def judge(probe: Probe, view: View) -> float:
        return float(probe.claim.is_true) if view == "image" and probe.anchor.index < 14 else 0.25

    settings = DiagnosisSettings(num_depths=2, claims_per_depth=2, views=("image", "blank"))
    diagnosed_model = ScriptedModel({}, judge=judge)
    (claims,) = probe_by_depth(diagnosed_model, [read(RESPONSE)], settings)
    assert claims is not None
    # Depths 0 (before the response), 0.5 -> 14 and 1 -> 22; two claims each, one of them right, under two views.
    assert [(claim.view, claim.depth, claim.index) for claim in claims[::2]] == [
        ("image", 0.0, 0),
        ("image", 0.5, 14),
        ("image", 1.0, 22),
        ("blank", 0.0, 0),
        ("blank", 0.5, 14),
        ("blank", 1.0, 22),
    ]
    assert [claim.correct for claim in claims[:2]] == [True, True]
    assert sorted(claim.correct for claim in claims[2:4]) == [False, True]  # "no" to both: one is right
    assert len({claim.claim for claim in claims}) == 2 and diagnosed_model.asked["probes"] == 12


def test_depths_at_the_same_boundary_are_asked_once():
    diagnosed_model = ScriptedModel({})
    settings = DiagnosisSettings(num_depths=20, claims_per_depth=1, views=("image",))
    (claims,) = probe_by_depth(diagnosed_model, [read(RESPONSE)], settings)
    assert claims is not None and len(claims) == 21 and diagnosed_model.asked["probes"] == 5


def test_rows_without_claims_are_not_asked():
    rollout = as_rollout(make_question("q", claims=0), RESPONSE)
    response = read_response(rollout, tags=THINK_TAGS, max_tokens=100)
    diagnosed_model = ScriptedModel({})
    assert (
        probe_by_depth(diagnosed_model, [response], DiagnosisSettings()) == [None]
        and "probes" not in diagnosed_model.asked
    )


@pytest.mark.parametrize(
    ("claims", "count", "right"), [(20, 4, 2), (20, 20, 10), (4, 20, 2), (1, 4, 1), (20, 3, None)]
)
def test_claims_are_half_right(claims: int, count: int, right: int | None):
    sample = make_question("q", claims=claims)
    drawn = draw_balanced_claims(sample, count, seed=0)
    assert len(drawn) == len(set(drawn)) == min(claims, count)
    assert sum(claim.is_true for claim in drawn) in ({right} if right is not None else {1, 2})
    assert drawn == draw_balanced_claims(sample, count, seed=0)


def test_drawn_depths_are_the_same_for_all_responses_and_differ_by_seed():
    first, again, other = (choose_depths(DiagnosisSettings(depths="drawn", seed=seed)) for seed in (0, 0, 1))
    assert first == again != other and len(first) == 10 and all(0 < depth <= 1 for depth in first)
    assert choose_depths(DiagnosisSettings(num_depths=4)) == (0.25, 0.5, 0.75, 1.0)


def test_attention_is_averaged_over_layers_and_heads():
    attention = measure_attention(ScriptedModel({}, attention=lambda token: 0.5 - token / 10), read("a, b").rollout)
    assert attention.by_token == pytest.approx((0.5, 0.4, 0.3, 0.2, 0.1))
    # Heads of layer 0 lie 0.1 below and above; over tokens the mean is 0.3.
    assert [head for layer in attention.by_head for head in layer] == pytest.approx([0.2, 0.4, 0.3, 0.3])


def test_sensitivity_counts_tokens_above_the_threshold():
    sensitivity = measure_sensitivity(
        ScriptedModel({}, sensitivity=lambda t: t / 10 - 0.1), read("a, b").rollout, "blank"
    )
    assert sensitivity.by_token == pytest.approx((0, 0, 0.1, 0.2, 0.3))  # rounding below 0 is 0
    assert dependent_share(Sensitivity((0.0, 0.1, 0.11, 5.0)), 0.1) == 0.5


def test_replay_interrupts_the_response_it_has_just_written():
    diagnosed_model = ScriptedModel({}, early=lambda cut: "uv, wx. yz</think>\\boxed{8}", attention=lambda token: 0.5)
    response = read(RESPONSE)
    attention = measure_attention(diagnosed_model, response.rollout)
    (remedied,) = replay(diagnosed_model, [response], DiagnosisSettings(num_remedy_cuts=2), [attention])
    assert remedied is not None and remedied.right and remedied.attention == pytest.approx(0.5)
    # A third of 15 characters is 5: the first cut is at 7 + 5 -> 10 (of 10 and 14 the earlier). In what is written
    # then, boundaries lie behind 3 and 7 characters, equally near 5: the earlier.
    assert [cut.index for cut in diagnosed_model.cuts] == [10, 3] and diagnosed_model.asked["replays"] == 2
    assert remedied.text == "<think>ab,\nuv,\nuv, wx. yz</think>\\boxed{8}"


def test_focus_writes_sentences_into_the_response():
    settings = DiagnosisSettings(num_remedy_cuts=2, focus_sentences=("LOOK!",))
    diagnosed_model = ScriptedModel({}, early=lambda cut: " uv, wx. yz</think>\\boxed{8}")
    (remedied,) = focus(diagnosed_model, [read(RESPONSE)], settings, attend=True)
    assert remedied is not None and remedied.right and remedied.answer == "8" and remedied.attention == 0.25
    assert [cut.suffix for cut in diagnosed_model.cuts] == [" LOOK!", " LOOK! uv, LOOK!"]
    assert remedied.text == "<think>ab, LOOK! uv, LOOK! uv, wx. yz</think>\\boxed{8}"


def test_remedies_stop_where_the_model_is_about_to_answer():
    write: Callable[[Cut], str] = lambda cut: "</think>\\boxed{8}"  # noqa: E731
    diagnosed_model = ScriptedModel({}, early=write)
    settings = DiagnosisSettings(num_remedy_cuts=4, focus_sentences=("LOOK!",))
    (remedied,) = focus(diagnosed_model, [read(RESPONSE)], settings)
    assert remedied is not None and remedied.text.count("LOOK!") == 1 and remedied.right
    (shown,) = replay(diagnosed_model, [read(RESPONSE)], settings, [None])
    assert shown is not None and shown.right and shown.attention is None
    assert len({cut.index for cut in diagnosed_model.cuts}) == 1


def test_sentences_are_drawn_by_the_seed():
    def draw(seed: int) -> list[str]:
        diagnosed_model = ScriptedModel({}, early=lambda cut: " uv, wx, yz, ab, cd.")
        focus(diagnosed_model, [read(RESPONSE)], DiagnosisSettings(seed=seed))
        return [cut.suffix for cut in diagnosed_model.cuts]

    assert draw(1) == draw(1) and len({tuple(draw(seed)) for seed in range(6)}) > 1


def test_a_response_without_boundary_has_no_remedy():
    response = read("<think>no mark</think>\\boxed{8}")
    assert focus(ScriptedModel({}), [response], DiagnosisSettings()) == [None]
    assert replay(ScriptedModel({}), [response], DiagnosisSettings(), [None]) == [None]


class Voter:
    name = "voter"

    def __init__(self, *votes: Category | None) -> None:
        self._votes = votes

    def judge(self, sample: Sample, response: str, votes: int) -> tuple[Category | None, ...]:
        return self._votes[:votes]


@pytest.mark.parametrize(
    ("votes", "category"),
    [
        (("perception",), "perception"),
        (("perception", "logical", "perception"), "perception"),
        (("perception", "logical"), None),
        ((None, "logical", None), "logical"),
        ((None, None), None),
    ],
)
def test_most_votes_decide(votes: tuple[Category | None, ...], category: Category | None):
    cause = find_cause(make_question("q"), RESPONSE, Voter(*votes), Voter("other"), 3)
    assert (cause.category, cause.truth) == (category, "other") and None not in cause.votes


def test_without_a_judge_the_truth_decides():
    assert find_cause(make_question("q"), RESPONSE, None, Voter("logical"), 3).category == "logical"
    assert find_majority(()) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": 0}, "percentage"),
        ({"step": 101}, "percentage"),
        ({"step": float("nan")}, "percentage"),
        ({"num_depths": 0}, "num_depths is 0"),
        ({"replay_scale": 0}, "replay_scale"),
        ({"temperature": -1}, "temperature is -1; it must be a finite number"),
        ({"temperature": float("nan")}, "temperature"),
        ({"views": ("blank",)}, "views"),
        ({"masked_view": "image"}, "masked_view"),
        ({"think_tags": ("<a>", "<a>")}, "think_tags"),
        ({"focus_sentences": (" ",)}, "focus_sentences"),
        ({"dependence_threshold": 0}, "dependence_threshold"),
        ({"depths": "odd"}, "depths"),
    ],
)
def test_settings_out_of_range_are_refused(options: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        make_settings(**options)


def test_the_closing_sentence_ends_in_the_models_own_tag():
    assert make_settings(think_tags=["[T]", "[/T]"], closing=None).closing.endswith("have.[/T]")
    assert make_settings(think_tags=["[T]", "[/T]"], closing="Stop.").closing == "Stop."


def test_protocols_are_named():
    assert choose_protocols(["sensitivity", "early"]) == ("early", "sensitivity")
    for names in (["erly"], []):
        with pytest.raises(ConfigError, match="choose among early"):
            choose_protocols(names)
