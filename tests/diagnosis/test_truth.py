"""The protocols against models whose forgetting is known: each must rank them right, with intervals that part them.

By construction the untouched model sees the picture to the end, the fading one less with every token, and the blind
one not at all from an early position on. Chains along which something can be watched come from questions that are
walked in words first. How far early decision gets is asked where nothing but sight can fail.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
from diagnosis.forgetful_models import Rule, fade, go_blind, make_forgetful, untouched
from diagnosis.looking_questions import draw_path_questions, draw_reading_questions

from vapo.diagnosis.diagnose import diagnose
from vapo.diagnosis.estimates import Estimate
from vapo.diagnosis.findings import Diagnosis, Point
from vapo.diagnosis.settings import DiagnosisSettings
from vapo.engines.examination.transformers_examinee import TransformersExaminee
from vapo.engines.policy.checkpoint import load_policy
from vapo.lab.shipped import shipped_checkpoint
from vapo.types import Sample

WALKS, READINGS = 48, 100
BLIND_FROM = 50
ALONG_WALKS = (untouched(), fade(0.1), go_blind(BLIND_FROM))  # best first
READING = (untouched(), fade(0.35), go_blind(38))  # 38 is the token that names the cell, whose state fetches the digit
SETTINGS = DiagnosisSettings(
    closing="</think>",  # as short as can be: the answer is then given from where the chain was cut
    step=50,
    num_depths=4,
    num_bins=4,
    views=("image", "blank"),
    max_completion_tokens=64,
)


def examine(rules: tuple[Rule, ...], samples: list[Sample], *protocols: str) -> Diagnosis:
    policy = load_policy(shipped_checkpoint())
    examinees = [TransformersExaminee(make_forgetful(policy, rule)) for rule in rules]
    found = diagnose(examinees, samples, protocols=protocols, settings=SETTINGS, batch_size=60)
    assert found.left_out == ()
    assert [model.name for model in found.models] == ["untouched", "fading", "blind"]
    return found


@pytest.fixture(scope="module")
def diagnosis() -> Diagnosis:
    samples = draw_path_questions(WALKS, seed=0)
    return examine(ALONG_WALKS, samples, "perception", "attention", "sensitivity")


@pytest.fixture(scope="module")
def reading() -> Diagnosis:
    return examine(READING, draw_reading_questions(READINGS, seed=0), "early")


def assert_ranked(best_first: list[Estimate]) -> None:
    """Each interval lies above the next one's; without an interval all questions agree."""
    assert len({estimate.num_questions for estimate in best_first}) == 1
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
    def test_ranks_the_models_at_the_end_of_the_chain(self, diagnosis):
        assert_ranked([last(model.attention_by_depth) for model in diagnosis.models])

    def test_the_blind_model_begins_like_the_untouched_and_ends_at_exactly_nothing(self, diagnosis):
        plain, _, blind = (model.attention_by_step for model in diagnosis.models)
        assert [point.estimate.value for point in blind[:2]] == pytest.approx(
            [point.estimate.value for point in plain[:2]], rel=1e-3
        )
        assert last(diagnosis.models[2].attention_by_depth).value == 0

    def test_no_token_predicted_by_a_blind_position_attends(self, diagnosis):
        for question in diagnosis.models[2].questions:
            seeing = [share > 0 for share in question.attention.by_token]
            assert seeing == sorted(seeing, reverse=True) and any(seeing) and not all(seeing)

    def test_differences_are_paired(self, diagnosis):
        for name in ("fading", "blind"):
            assert difference(diagnosis, name, "attention on the image, last fifth").high < -0.05


class TestSensitivity:
    def test_ranks_the_models_by_the_share_of_dependent_tokens(self, diagnosis):
        assert_ranked([model.dependent_share for model in diagnosis.models])

    def test_masking_the_image_changes_nothing_much_for_a_model_that_no_longer_sees_it(self, diagnosis):
        plain, fading, blind = (last(model.sensitivity) for model in diagnosis.models)
        assert blind.high < 0.1 * min(plain.low, fading.low)


class TestPerception:
    def test_ranks_the_models_at_the_end_of_the_chain(self, diagnosis):
        assert_ranked([last(model.perception["image"]) for model in diagnosis.models])

    def test_the_untouched_model_forgets_little_and_the_others_do(self, diagnosis):
        drops = []
        for model in diagnosis.models[:2]:
            points = model.perception["image"]
            drops.append(points[0].estimate.value - points[-1].estimate.value)
        assert abs(drops[0]) < 0.05 and drops[1] > drops[0] + 0.05

    def test_only_the_blind_model_sees_no_better_with_the_image_than_with_a_blank_one(self, diagnosis):
        plain, fading, blind = diagnosis.models
        for model in (plain, fading):
            assert last(model.perception["image"]).low > last(model.perception["blank"]).high
        assert last(blind.perception["image"]).low < last(blind.perception["blank"]).high
        assert last(blind.perception["image"]).low < 0.5 < last(blind.perception["image"]).high


class TestEarlyDecision:
    def test_ranks_the_models_at_the_end_of_the_chain(self, reading):
        assert_ranked([last(model.early) for model in reading.models])
        assert_ranked([model.accuracy for model in reading.models])

    def test_only_the_blind_model_gains_nothing_by_reasoning(self, reading):
        for model, gains in zip(reading.models, (True, True, False), strict=True):
            assert (last(model.early).low > model.early[0].estimate.high) is gains

    def test_differences_are_paired(self, reading):
        for name in ("fading", "blind"):
            assert difference(reading, name, "right answers").high < -0.1
