"""The protocols against models whose forgetting is known: each must rank them right, with intervals that part them.

By construction the untouched model sees the image to the end, the fading one less with every token, and the blind
one not at all from an early position on: where the question begins, or, to watch its attention, where notes do. What
is watched along a response is watched on its first words, from which the image is within the checkpoint's reach, by
claims that these words do not settle. How far early decision gets is asked on whole responses, which answer rightly if
they see.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from diagnosis.forgetful_models import Rule, fade, go_blind, make_forgetful, untouched
from diagnosis.looking_questions import (
    NOTED,
    PROMPT,
    QUESTION,
    claim_cells,
    claim_what_is_not_noted,
    draw_questions,
    open_careful_policy,
)

from vapo.diagnosis.diagnose import diagnose
from vapo.diagnosis.estimates import Estimate
from vapo.diagnosis.findings import Diagnosis, Point
from vapo.diagnosis.settings import DiagnosisSettings
from vapo.diagnosis.transformers.transformers_model import TransformersModel
from vapo.lab.shipped import shipped_checkpoint
from vapo.models.policy.checkpoint import Policy, load_policy
from vapo.types import Sample

WATCHED, ANSWERED = 48, 100
ATTENDING = (untouched(), fade(0.15), go_blind(PROMPT + 4))  # best first; blind behind "<think>I note AU"
NOTING = (untouched(), fade(0.22), go_blind(QUESTION))
ANSWERING = (untouched(), fade(0.2), go_blind(QUESTION))
LOOKS = ("looks_attended", "looks_used")
SETTINGS = DiagnosisSettings(
    closing="</think>",  # as short as can be: the answer is then given from where the response was cut
    step=50,
    num_depths=4,
    num_bins=4,
    views=("image", "blank"),
    max_completion_tokens=160,
)


def diagnose_rules(
    policy: Policy, rules: tuple[Rule, ...], samples: list[Sample], protocols: tuple[str, ...], **settings: Any
) -> Diagnosis:
    diagnosed_models = [TransformersModel(make_forgetful(policy, rule)) for rule in rules]
    found = diagnose(
        diagnosed_models, samples, protocols=protocols, settings=replace(SETTINGS, **settings), batch_size=60
    )
    assert found.left_out == ()
    assert [model.name for model in found.models] == ["untouched", "fading", "blind"]
    return found


def watch(rules: tuple[Rule, ...], protocols: tuple[str, ...]) -> Diagnosis:
    policy = load_policy(shipped_checkpoint())
    drawn = draw_questions(WATCHED, seed=0)
    responses = TransformersModel(policy).write_responses([sample for sample, _ in drawn], NOTED)
    samples = claim_what_is_not_noted(drawn, responses, seed=0)
    return diagnose_rules(policy, rules, samples, protocols, max_completion_tokens=NOTED)


@pytest.fixture(scope="module")
def attending() -> Diagnosis:
    return watch(ATTENDING, ("attention",))


@pytest.fixture(scope="module")
def diagnosis() -> Diagnosis:
    return watch(NOTING, ("perception", "sensitivity"))


@pytest.fixture(scope="module")
def answering() -> Diagnosis:
    samples = [sample for sample, _ in draw_questions(ANSWERED, seed=0, kind="beside")]
    return diagnose_rules(open_careful_policy(), ANSWERING, samples, ("early",))


@pytest.fixture(scope="module")
def swapped() -> Diagnosis:
    samples = [sample for sample, _ in draw_questions(ANSWERED, seed=0, kind="beside")]
    return diagnose_rules(open_careful_policy(), ANSWERING, samples, ("swap",), num_cuts=1, replacements=("blank",))


@pytest.fixture(scope="module")
def confident() -> Diagnosis:
    samples = [sample for sample, _ in draw_questions(ANSWERED, seed=0, kind="beside")]
    return diagnose_rules(open_careful_policy(), ANSWERING, samples, ("confidence",), num_cuts=2)


@pytest.fixture(scope="module")
def balanced() -> Diagnosis:
    samples = claim_cells(draw_questions(ANSWERED, seed=0, kind="beside"), seed=0)
    return diagnose_rules(open_careful_policy(), ANSWERING, samples, ("balance",), num_cuts=2, num_waits=1)


@pytest.fixture(scope="module")
def misled() -> Diagnosis:
    samples = [sample for sample, _ in draw_questions(ANSWERED, seed=0, kind="beside")]
    return diagnose_rules(open_careful_policy(), ANSWERING, samples, ("cue",), num_cuts=1)


def assert_ranked(best_first: list[Estimate]) -> None:
    """Each interval lies above the next one's; without an interval all questions agree."""
    assert min(estimate.num_questions for estimate in best_first) >= 0.9 * WATCHED  # a few responses break off at once
    for better, worse in pairwise(best_first):
        low = better.value if better.low is None else better.low
        high = worse.value if worse.high is None else worse.high
        assert low > high, best_first


def difference(diagnosis: Diagnosis, name: str, measure: str) -> Estimate:
    (found,) = [d.difference for d in diagnosis.differences if (d.name, d.measure) == (name, measure)]
    return found


def last(points: tuple[Point, ...] | None) -> Estimate:
    assert points is not None
    return points[-1].estimate


class TestAttention:
    def test_ranks_the_models_at_the_end_of_the_response(self, attending):
        assert_ranked([last(model.attention_by_depth) for model in attending.models])

    def test_the_blind_model_begins_like_the_untouched_and_ends_at_exactly_nothing(self, attending):
        plain, _, blind = (model.attention_by_step for model in attending.models)
        assert [point.estimate.value for point in blind[:2]] == pytest.approx(
            [point.estimate.value for point in plain[:2]], rel=1e-3
        )
        assert last(attending.models[2].attention_by_depth).value == 0

    def test_no_token_predicted_by_a_blind_position_attends(self, attending):
        for question in attending.models[2].questions:
            seeing = [share > 0 for share in question.attention.by_token]
            assert seeing == sorted(seeing, reverse=True) and any(seeing) and not all(seeing)

    def test_differences_are_paired(self, attending):
        for name in ("fading", "blind"):
            assert difference(attending, name, "attention on the image, last fifth").high < -0.05


class TestSensitivity:
    def test_ranks_the_models_by_the_share_of_dependent_tokens(self, diagnosis):
        assert_ranked([model.dependent_share for model in diagnosis.models])

    def test_masking_the_image_changes_nothing_much_for_a_model_that_no_longer_sees_it(self, diagnosis):
        plain, fading, blind = (last(model.sensitivity) for model in diagnosis.models)
        assert blind.high < 0.1 * min(plain.low, fading.low)


class TestPerception:
    def test_ranks_the_models_at_the_end_of_the_response(self, diagnosis):
        assert_ranked([last(model.perception["image"]) for model in diagnosis.models])

    def test_the_untouched_model_forgets_little_and_the_others_do(self, diagnosis):
        drops = []
        for model in diagnosis.models[:2]:
            points = model.perception["image"]
            drops.append(points[0].estimate.value - min(point.estimate.value for point in points))
        assert abs(drops[0]) < 0.05 and drops[1] > drops[0] + 0.05

    def test_only_the_blind_model_sees_no_better_with_the_image_than_with_a_blank_one(self, diagnosis):
        seen, unseen = (
            [model.perception[view][0].estimate for model in diagnosis.models] for view in ("image", "blank")
        )
        for with_image, without in zip(seen[:2], unseen[:2], strict=True):
            assert with_image.low > without.high
        assert seen[2].low < unseen[2].high
        assert seen[2].low < 0.5 < seen[2].high


class TestEarlyDecision:
    def test_ranks_the_models_at_the_end_of_the_response(self, answering):
        assert_ranked([last(model.early) for model in answering.models])
        assert_ranked([model.accuracy for model in answering.models])

    def test_only_the_blind_model_gains_nothing_by_reasoning(self, answering):
        for model, gains in zip(answering.models, (True, True, False), strict=True):
            assert (last(model.early).low > model.early[0].estimate.high) is gains

    def test_differences_are_paired(self, answering):
        for name in ("fading", "blind"):
            assert difference(answering, name, "right answers").high < -0.1


@pytest.mark.slow
class TestImageSwap:
    def test_ranks_the_models_by_the_accuracy_that_taking_the_image_away_costs(self, swapped):
        changes = [model.numbers["swap_change_blank"][0].estimate for model in swapped.models]
        costs = [Estimate(-one.value, -one.high, -one.low, one.num_questions) for one in changes]
        assert_ranked(costs)
        assert costs[2].low < 0 < costs[2].high

    def test_the_answers_of_the_blind_model_hardly_change(self, swapped):
        shares = [model.numbers["swap_answers_changed_blank"][0].estimate for model in swapped.models]
        assert shares[2].high < 0.2 < 0.8 < min(shares[0].low, shares[1].low)

    def test_at_the_end_of_the_thinking_part_the_image_is_no_longer_needed(self, swapped):
        for model in swapped.models:
            assert model.numbers["swap_answers_changed_blank"][-1].estimate.high < 0.1


@pytest.mark.slow
class TestConfidence:
    def test_ranks_the_models_by_the_probability_of_the_right_answer_at_the_end(self, confident):
        assert_ranked([last(model.numbers["confidence_right"]) for model in confident.models])

    def test_only_seeing_models_revise_to_right(self, confident):
        plain, fading, blind = (model.numbers["confidence_revised_to_right"] for model in confident.models)
        assert blind.high < min(plain.low, fading.low)

    def test_all_are_sure_of_what_they_answer(self, confident):
        for model in confident.models:
            assert last(model.numbers["confidence_final"]).low > 0.95


@pytest.mark.slow
class TestReasoningAgainstPerception:
    def test_ranks_the_models_by_the_perception_held(self, balanced):
        """RH-AUC itself does not: it is scaled to each model's own worst and best."""
        assert_ranked([model.numbers["perception_held"] for model in balanced.models])

    def test_thinking_on_costs_sight(self, balanced):
        for model in balanced.models[:2]:
            claims = [point.estimate for point in model.numbers["reasoning_claims"]]
            assert claims[-1].high < claims[0].low


@pytest.mark.slow
class TestMisleadingText:
    """Whom a model believes does not tell how well it sees: the cue does not rank these models."""

    def test_a_cue_makes_the_answer_that_nothing_else_would(self, misled):
        for model in misled.models:
            control = model.numbers["misleading_control"]
            for place in ("question", "response"):
                assert all(point.estimate.low > control.high for point in model.numbers[f"misleading_given_{place}"])

    def test_who_sees_the_image_is_not_told_by_who_follows(self, misled):
        plain, _, blind = (model.numbers["misleading_followed_question"][0].estimate for model in misled.models)
        assert plain.low < blind.high and blind.low < plain.high


@pytest.mark.slow
class TestLooks:
    def test_parts_the_models_that_see_from_the_blind_one(self):
        samples = [sample for sample, _ in draw_questions(WATCHED, seed=0, kind="beside")]
        found = diagnose_rules(open_careful_policy(), ANSWERING, samples, ("looks",), num_cuts=1)
        *seeing, blind = ([model.numbers[name][0].estimate for name in LOOKS] for model in found.models)
        for attended, used in seeing:
            assert used.low > 0.02 and attended.low > 0.05
        assert max(abs(end) for one in blind for end in (one.low, one.high)) < 0.005
