from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from vapo.algorithms.grpo import GRPO
from vapo.algorithms.vapo import VAPO, draw_claims
from vapo.errors import ConfigError
from vapo.types import Anchor, Claim, Probe, Reward, Rollout, Sample, Verdict

POOL = tuple(Claim(f"claim {number}", number % 2 == 0) for number in range(20))
SAMPLE = Sample("s", (), "?", "1", POOL)
TEXTS = tuple(f"{letter}{'.' if number % 2 else ''} " for number, letter in enumerate("abcdefghijklmnopqrst"))


def make_rollout(texts=TEXTS, sample=SAMPLE) -> Rollout:
    return Rollout(sample, (1, 2), tuple(range(len(texts))), tuple(texts))


def judge(probes, right) -> list[Verdict]:
    return [
        Verdict(probe, 0.9 if probe.claim.is_true == correct else 0.1)
        for probe, correct in zip(probes, right, strict=True)
    ]


class TestProbes:
    def test_every_probe_hangs_on_its_rollout_at_a_boundary_with_a_claim_of_its_sample(self):
        rollout = make_rollout()
        probes = VAPO(num_anchors=5).probes(rollout, np.random.default_rng(0))
        assert len(probes) == 5 and all(probe.rollout is rollout for probe in probes)
        assert all(probe.claim in POOL for probe in probes)
        for probe in probes:
            assert "".join(rollout.token_texts[: probe.anchor.index]).rstrip().endswith(".")

    def test_the_same_generator_draws_the_same(self):
        draw = lambda seed: VAPO(num_anchors=5).probes(make_rollout(), np.random.default_rng(seed))  # noqa: E731
        assert draw(1) == draw(1) and draw(1) != draw(2)

    def test_no_boundaries_no_probes(self):
        assert VAPO().probes(make_rollout(["word", " word"]), np.random.default_rng(0)) == []

    def test_no_anchors_need_no_claims(self):
        algorithm = VAPO(num_anchors=0)
        assert not algorithm.needs.claims
        assert algorithm.probes(make_rollout(sample=replace(SAMPLE, claims=())), np.random.default_rng(0)) == ()

    def test_a_sample_without_claims_is_an_error(self):
        with pytest.raises(ValueError, match="has no claims to draw from"):
            VAPO().probes(make_rollout(sample=replace(SAMPLE, claims=())), np.random.default_rng(0))

    def test_a_group_shares_claims_and_relative_ranks(self):
        algorithm = VAPO(num_anchors=6, anchor_sharing="group")
        assert algorithm.needs.shared_draws and not VAPO().needs.shared_draws
        short, long = make_rollout(TEXTS[:10]), make_rollout(TEXTS * 3)
        first = algorithm.probes(short, np.random.default_rng(4))
        second = algorithm.probes(long, np.random.default_rng(4))
        assert [probe.claim for probe in first] == [probe.claim for probe in second]
        assert len(first) == 6  # as many for a response with five boundaries
        for a, b in zip(first, second, strict=True):
            assert abs(a.anchor.depth - b.anchor.depth) <= 0.25  # boundaries of the short one lie 0.2 apart

    def test_sharing_leaves_each_response_the_anchors_of_independent_draws(self):
        """The mean depth of anchors on a response with a long gap, which depths moved to boundaries would fill."""
        rollout = make_rollout(["a"] * 100 + [".", *TEXTS])
        depths = {
            sharing: [
                np.mean([probe.anchor.depth for probe in algorithm.probes(rollout, np.random.default_rng(seed))])
                for seed in range(2000)
            ]
            for sharing in ("independent", "group")
            for algorithm in [VAPO(num_anchors=5, anchor_sharing=sharing)]
        }
        assert stats.ks_2samp(depths["independent"], depths["group"]).pvalue > 0.001


class TestDrawClaims:
    @pytest.mark.parametrize(("num_true", "num_false"), [(10, 10), (12, 8), (3, 17), (1, 1)])
    @pytest.mark.parametrize("count", [1, 2, 7, 20])
    def test_half_are_true(self, num_true, num_false, count):
        pool = [Claim(f"claim {n}", n < num_true) for n in range(num_true + num_false)]
        rng = np.random.default_rng(0)
        truth = np.array([[claim.is_true for claim in draw_claims(pool, count, rng)] for _ in range(4000)])
        assert set(truth[:, : count - count % 2].sum(axis=1)) == {count // 2}
        # At every place as often as not, the last one of an odd count included: truth does not depend on depth.
        assert truth.mean(axis=0) == pytest.approx(np.full(count, 0.5), abs=4 * 0.5 / 4000**0.5)

    def test_uniform_draws_go_by_no_truth(self):
        pool = [Claim(f"claim {n}", n < 15) for n in range(20)]
        drawn = draw_claims(pool, 50, np.random.default_rng(0), balanced=False)
        assert set(drawn[:20]) == set(drawn[20:40]) == set(pool)
        options = {"num_anchors": 6, "claim_draws": "uniform"}
        rollout, rng = make_rollout(sample=replace(SAMPLE, claims=tuple(pool))), np.random.default_rng(0)
        truth = [probe.claim.is_true for _ in range(500) for probe in VAPO(**options).probes(rollout, rng)]
        assert np.mean(truth) == pytest.approx(0.75, abs=0.03)

    def test_claims_of_a_truth_come_equally_often(self):
        pool = [Claim(f"claim {n}", n < 6) for n in range(8)]
        counts = Counter(draw_claims(pool, 24, np.random.default_rng(0)))
        assert [counts[claim] for claim in pool] == [2] * 6 + [6] * 2
        assert len(set(draw_claims(pool, 4, np.random.default_rng(1)))) == 4

    @pytest.mark.parametrize("truth", [True, False])
    def test_a_pool_of_one_truth_gives_that_alone(self, truth):
        pool = [Claim(f"claim {n}", truth) for n in range(3)]
        drawn = draw_claims(pool, 7, np.random.default_rng(0))
        assert set(drawn[:3]) == set(drawn[3:6]) == set(pool) and len(drawn) == 7

    def test_without_repeats_until_the_pool_is_used_up(self):
        drawn = draw_claims(POOL, 50, np.random.default_rng(0))
        assert len(drawn) == 50
        assert set(drawn[:20]) == set(drawn[20:40]) == set(POOL) and len(set(drawn[40:])) == 10

    def test_every_claim_is_as_likely_as_any_other(self):
        rng = np.random.default_rng(0)
        counts = dict.fromkeys(POOL, 0)
        for _ in range(4000):
            for claim in draw_claims(POOL, 5, rng):
                counts[claim] += 1
        expected = 4000 * 5 / 20
        chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
        assert chi_square < 43.8  # 99.9 % quantile of chi-square with 19 degrees of freedom


@pytest.mark.parametrize(
    ("options", "accuracy", "progress", "uses"),
    [
        ({}, 1.0, 0.5, True),
        ({}, 0.0, 0.0, False),
        ({"accuracy_gate": "none"}, 0.0, 1.0, True),
        ({"accuracy_gate": "relaxed"}, 0.0, 0.9, True),
        ({"accuracy_gate": "relaxed"}, 0.0, 1.0, False),
        ({"perception_weight": 0.0}, 1.0, 0.0, False),
    ],
)
def test_uses_verdicts_that_can_change_the_reward(options, accuracy, progress, uses):
    algorithm = VAPO(**options)
    assert algorithm.uses_verdicts(accuracy, progress) is uses
    probes = algorithm.probes(make_rollout(), np.random.default_rng(0))
    totals = {algorithm.reward(accuracy, 0.0, judge(probes, [hit] * len(probes)), progress).total for hit in (0, 1)}
    assert (len(totals) == 2) is uses


class TestAddedAdvantages:
    GROUP = (
        Reward(1.0, 0.0, 0.5, 0.0, 1.0),
        Reward(0.0, 0.0, 0.1, 0.0, 0.0),
        Reward(1.0, 0.0, 0.7, 0.0, 1.0),
        Reward(1.0, 0.0, None, 0.0, 1.0),
        Reward(1.0, 0.0, 0.9, 0.0, 1.0),
    )

    def test_right_answers_are_compared_by_what_they_saw(self):
        algorithm = VAPO(perception_credit="advantage", perception_weight=0.5)
        assert algorithm.needs.advantages and not algorithm.needs.bonus
        # 0.5, 0.7 and 0.9 spread by 0.2 around 0.7.
        np.testing.assert_allclose(algorithm.added_advantages(self.GROUP, 0.5), [-0.5, 0, 0, 0, 0.5], atol=1e-12)

    def test_without_a_gate_all_are(self):
        algorithm = VAPO(perception_credit="advantage", perception_weight=1.0, accuracy_gate="none")
        # 0.5, 0.1, 0.7 and 0.9: mean 0.55, squares 0.35, std = sqrt(0.35 / 3) = 0.341565.
        expected = np.array([-0.05, -0.45, 0.15, 0, 0.35]) / 0.341565
        np.testing.assert_allclose(algorithm.added_advantages(self.GROUP, 0.5), expected, atol=1e-5)

    def test_a_relaxed_gate_gives_wrong_answers_less_as_training_goes_on(self):
        algorithm = VAPO(perception_credit="advantage", perception_weight=1.0, accuracy_gate="relaxed")
        early, late, end = (algorithm.added_advantages(self.GROUP, progress)[1] for progress in (0.0, 0.5, 1.0))
        assert early == 2 * late < 0 and end == 0

    def test_the_reward_holds_no_perception_then(self):
        algorithm = VAPO(perception_credit="advantage")
        probes = algorithm.probes(make_rollout(), np.random.default_rng(0))
        seen = judge(probes, [True] * len(probes))
        reward = algorithm.reward(1.0, 1.0, seen, 0.0)
        assert (reward.total, reward.bonus, reward.perception) == (2.0, 0.0, 1.0)

    def test_without_weight_it_is_not_asked(self):
        assert not VAPO(perception_credit="advantage", perception_weight=0.0).needs.advantages


class TestReward:
    def test_golden(self):
        """Anchors at 1/4, 1/2, 3/4, 1; the first two right; beta 1.5; gamma 0.1.

        e^.375 = 1.4550, e^.75 = 2.1170, e^1.125 = 3.0802, e^1.5 = 4.4817; sum 11.1339; hits 3.5720; 0.32082.
        """
        rollout = make_rollout()
        probes = [Probe(rollout, Anchor(5 * k, k / 4), POOL[k]) for k in (1, 2, 3, 4)]
        reward = VAPO().reward(1.0, 1.0, judge(probes, [True, True, False, False]), 0.0)
        weights = [math.exp(1.5 * k / 4) for k in (1, 2, 3, 4)]
        assert reward.perception == pytest.approx(sum(weights[:2]) / sum(weights))
        assert reward.perception == pytest.approx(0.32082, abs=1e-5)
        assert reward.total == pytest.approx(2 + 0.1 * 0.32082, abs=1e-6)
        assert reward.bonus == pytest.approx(0.1 * reward.perception)

    def test_labels_follow_their_claims(self):
        """The published code drew claims at random and graded them in list order: a perfect perceiver got 0.5."""
        for seed in range(20):
            probes = VAPO(num_anchors=8).probes(make_rollout(), np.random.default_rng(seed))
            seen = [Verdict(probe, float(probe.claim.is_true)) for probe in probes]
            assert VAPO(num_anchors=8).reward(1.0, 1.0, seen, 0.0).perception == 1.0

    def test_a_coin_scores_a_half(self):
        rng = np.random.default_rng(0)
        algorithm = VAPO(num_anchors=10)
        scores = []
        for _ in range(2000):
            probes = algorithm.probes(make_rollout(), rng)
            verdicts = [Verdict(probe, float(rng.random())) for probe in probes]
            scores.append(algorithm.reward(1.0, 1.0, verdicts, 0.0).perception)
        assert np.mean(scores) == pytest.approx(0.5, abs=4 * np.std(scores) / len(scores) ** 0.5)

    @pytest.mark.parametrize("num_anchors", [3, 6, 10, 20])
    @pytest.mark.parametrize("says", [0.0, 1.0])
    def test_one_answer_to_all_scores_a_half(self, num_anchors, says):
        """Weighted towards the end, on a pool that is mostly true, and where boundaries are fewer than anchors."""
        sample = replace(SAMPLE, claims=tuple(Claim(f"claim {n}", n < 14) for n in range(20)))
        algorithm = VAPO(num_anchors=num_anchors, late_emphasis=2.5)
        scores = []
        for seed in range(2000):
            probes = algorithm.probes(make_rollout(sample=sample), np.random.default_rng(seed))
            scores.append(algorithm.reward(1.0, 1.0, [Verdict(p, says) for p in probes], 0.0).perception)
        assert np.mean(scores) == pytest.approx(0.5, abs=4 * np.std(scores) / len(scores) ** 0.5)

    def test_shuffling_probes_changes_nothing(self):
        probes = VAPO(num_anchors=8).probes(make_rollout(), np.random.default_rng(0))
        verdicts = judge(probes, [number % 3 == 0 for number in range(len(probes))])
        assert VAPO().reward(1.0, 0.0, verdicts, 0.0) == VAPO().reward(1.0, 0.0, verdicts[::-1], 0.0)

    def test_soft_verdicts_average_the_probability_of_the_label(self):
        rollout = make_rollout()
        verdicts = [
            Verdict(Probe(rollout, Anchor(5, 0.5), Claim("a", True)), 0.8),
            Verdict(Probe(rollout, Anchor(5, 0.5), Claim("b", False)), 0.3),
        ]
        assert VAPO(verdict="soft").reward(1.0, 1.0, verdicts, 0.0).perception == pytest.approx((0.8 + 0.7) / 2)
        assert VAPO().reward(1.0, 1.0, verdicts, 0.0).perception == 1.0

    def test_the_gate(self):
        verdicts = judge([Probe(make_rollout(), Anchor(5, 0.5), POOL[0])], [True])
        bonus = lambda gate, progress: VAPO(accuracy_gate=gate).reward(0.0, 1.0, verdicts, progress).bonus  # noqa: E731
        assert bonus("strict", 0.0) == 0.0
        assert bonus("none", 0.9) == pytest.approx(0.1)
        assert bonus("relaxed", 0.25) == pytest.approx(0.075)

    def test_nothing_probed_earns_nothing(self):
        reward = VAPO().reward(1.0, 1.0, [], 0.0)
        assert (reward.perception, reward.bonus, reward.total) == (None, 0.0, 2.0)


def test_grpo_grades_alone():
    algorithm = GRPO(accuracy_weight=0.8, format_weight=0.1)
    assert not algorithm.needs.claims and algorithm.probes(make_rollout(), np.random.default_rng(0)) == ()
    assert algorithm.reward(1.0, 1.0, (), 0.0).total == pytest.approx(0.9)


class TestGateThreshold:
    def test_it_is_one_in_reward_advantage_and_what_is_asked(self):
        algorithm = VAPO(gate_threshold=0.6, perception_credit="advantage", perception_weight=1.0)
        assert [algorithm.uses_verdicts(accuracy, 0.5) for accuracy in (0.59, 0.6)] == [False, True]
        group = [Reward(accuracy, 0.0, seen, 0.0, accuracy) for accuracy, seen in ((0.5, 0.9), (0.6, 0.2), (0.9, 0.8))]
        shut, low, high = algorithm.added_advantages(group, 0.5)
        assert shut == 0 and low < 0 < high

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"gate_threshold": 0.0}, "must be above 0"),
            ({"gate_threshold": 1.5}, "at most 1"),
            ({"gate_threshold": 0.5, "accuracy_gate": "none"}, "says nothing where accuracy_gate='none'"),
        ],
    )
    def test_what_cannot_be_meant(self, options, message):
        with pytest.raises(ConfigError, match=message):
            VAPO(**options)
