"""What every algorithm must satisfy, whoever wrote it."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, fields

import numpy as np
import pytest
import torch
from PIL import Image

from vapo.algorithms.algorithm import Algorithm, Needs, SecondView
from vapo.algorithms.registry import BUILT_IN, find_algorithm
from vapo.algorithms.vapo import VAPO
from vapo.core.advantages import group_advantages
from vapo.training.config import VAPOConfig
from vapo.types import Claim, Reward, Rollout, Sample, TokenScores, Verdict


@dataclass(frozen=True, kw_only=True)
class Looking(Algorithm):
    """From outside the package: asks for all that a scoring pass says of tokens."""

    @property
    def needs(self):
        asked = {"image_similarity": True, "image_attention": (-1,), "second_view": SecondView()}
        return Needs(token_weights=True, token_loss=True, **asked)

    def token_weights(self, scores):
        return scores.image_attention - scores.second.image_attention

    def token_loss(self, scores):
        return scores.second.image_similarity - scores.image_similarity


ALGORITHMS = {
    **{name: find_algorithm(name)() for name in BUILT_IN},
    "vapo, soft and shared": VAPO(verdict="soft", anchor_sharing="group", accuracy_gate="none"),
    "vapo, two parts": VAPO(perception_credit="advantage"),
    "vapo, weight 0": VAPO(perception_weight=0.0),
    "vapo, no anchors": VAPO(num_anchors=0),
    "from outside": Looking(),
}
OFF = {
    "vapo_tokens": {"strength": 0.0},
    "papo": {"gamma": 0.0, "eta": 0.0},
    "vppo": {"kept_tokens": 1.0, "least_weight": 1.0},
    "noisy_rollout": {"noise_steps": 0},
    "pgpo": {"strength": 0.0},
    "vgpo": {"intra": 0.0, "inter": 0.0},
    "attention_reward": {"weight": 0.0},
}
"""Options with which a method changes nothing; of VAPO's own, the `perception_weight` of its run is 0 besides."""
POOL = tuple(Claim(f"claim {number}", number % 2 == 0) for number in range(6))


@pytest.fixture(params=ALGORITHMS.values(), ids=ALGORITHMS)
def algorithm(request):
    return request.param


def make_rollout(length=30, claims=POOL) -> Rollout:
    texts = tuple("a. " if number % 3 == 0 else "b " for number in range(length))
    return Rollout(Sample("s", (), "?", "1", claims), (1, 2), tuple(range(length)), texts)


def judge(algorithm, rollout, seed=5) -> list[Verdict]:
    rng = np.random.default_rng(seed)
    return [Verdict(probe, float(rng.random())) for probe in algorithm.probes(rollout, np.random.default_rng(seed))]


def test_prints_and_pickles_its_settings(algorithm):
    assert pickle.loads(pickle.dumps(algorithm)) == algorithm
    assert all(f"{one.name}={getattr(algorithm, one.name)!r}" in repr(algorithm) for one in fields(algorithm))
    with pytest.raises(AttributeError):
        algorithm.accuracy_weight = 2.0


def test_options_say_what_they_mean(algorithm):
    assert all(one.metadata["help"].endswith(".") for one in fields(algorithm))


def test_probes_are_drawn_from_the_generator_alone_and_no_more_than_it_says(algorithm):
    rollout = make_rollout()
    first, again = (algorithm.probes(rollout, np.random.default_rng(1)) for _ in range(2))
    assert list(first) == list(again) and len(first) <= algorithm.max_probes
    assert all(probe.rollout is rollout for probe in first)


def test_asks_for_no_claims_that_it_does_not_need(algorithm):
    if not algorithm.needs.claims:
        assert list(algorithm.probes(make_rollout(claims=()), np.random.default_rng(1))) == []
        assert algorithm.max_probes == 0


def test_verdicts_in_any_order_earn_the_same(algorithm):
    verdicts = judge(algorithm, make_rollout())
    forth, back = (algorithm.reward(1.0, 1.0, order, 0.5).total for order in (verdicts, verdicts[::-1]))
    assert forth == pytest.approx(back, rel=1e-12)


@pytest.mark.parametrize("accuracy", [0.0, 1.0])
def test_says_truly_whether_verdicts_count(algorithm, accuracy):
    rollout = make_rollout()
    drawn = algorithm.probes(rollout, np.random.default_rng(1))
    ends = [[Verdict(probe, float(probe.claim.is_true == right)) for probe in drawn] for right in (True, False)]
    group = [algorithm.reward(accuracy, 0.0, verdicts, 0.5) for verdicts in ends]
    bonuses, added = {reward.bonus for reward in group}, set(algorithm.added_advantages(group, 0.5))
    weighed = [algorithm.verdict_weights(judge(algorithm, rollout, seed), 30, 1.0) for seed in range(2)]
    counts = len(bonuses | added) > 1 or weighed[0] != weighed[1]
    assert counts == (bool(drawn) and algorithm.uses_verdicts(accuracy, 0.5))
    assert (weighed[0] is not None) == algorithm.needs.verdict_weights
    assert algorithm.needs.bonus or bonuses == {0.0}
    assert algorithm.needs.advantages or added == {0.0}


def test_the_total_is_grpos_and_the_bonus(algorithm):
    reward = algorithm.reward(1.0, 1.0, judge(algorithm, make_rollout()), 0.5)
    assert reward.total == pytest.approx(algorithm.accuracy_weight + algorithm.format_weight + reward.bonus)


def test_credit_follows_a_permutation_of_the_group_and_equal_rewards_earn_none(algorithm):
    rollouts = [make_rollout(length) for length in (12, 30, 45, 60)]
    group = [
        algorithm.reward(accuracy, 1.0, judge(algorithm, rollout, seed), 0.5)
        for seed, (accuracy, rollout) in enumerate(zip((1.0, 0.0, 1.0, 1.0), rollouts, strict=True))
    ]

    def credit(rewards):
        return group_advantages([one.total for one in rewards], 4) + algorithm.added_advantages(rewards, 0.5)

    order = [2, 0, 3, 1]
    np.testing.assert_allclose(credit([group[place] for place in order]), credit(group)[order], atol=1e-12)
    assert (credit([group[0]] * 4) == 0).all()


def make_scores(algorithm) -> TokenScores:
    needs = algorithm.needs
    streams = {
        **({"image_similarity": 2 * torch.rand(7) - 1} if needs.image_similarity else {}),
        **({"image_attention": torch.rand(7)} if needs.image_attention is not None else {}),
    }
    second = TokenScores(torch.log(torch.rand(7)), torch.rand(7), **streams) if needs.second_view else None
    return TokenScores(torch.log(torch.rand(7)).requires_grad_(), torch.rand(7), second, **streams)


def test_says_truly_whether_tokens_are_weighed_or_added_to(algorithm):
    needs, scores = algorithm.needs, make_scores(algorithm)
    weights, added = algorithm.token_weights(scores), algorithm.token_loss(scores)
    assert (weights is not None) == needs.token_weights
    assert (added is not None) == needs.token_loss
    assert all(values.shape == (7,) for values in (weights, added) if values is not None)


def test_samples_from_the_images_there_are_unless_it_says_so(algorithm):
    images = [Image.new("RGB", (8, 8))]
    chosen = [algorithm.images_to_sample(images, member, 4, np.random.default_rng(1), 0.5) for member in range(4)]
    assert all([image.size for image in own] == [(8, 8)] for own in chosen)
    assert algorithm.needs.sampled_images or all(own is images for own in chosen)


def test_weighs_every_response_that_it_sums_up(algorithm):
    summaries = [algorithm.summarize(make_scores(algorithm)) for _ in range(4)]
    assert all((one is not None) == algorithm.needs.summary for one in summaries)
    groups = [[0.1, 0.4, 0.4], [], [0.2]]
    weights = algorithm.response_weights(groups)
    assert [len(own) for own in weights] == [3, 0, 1] and np.isfinite(np.concatenate(weights)).all()
    assert algorithm.needs.summary or set(np.concatenate(weights)) == {1.0}
    assert weights[0][1] == weights[0][2]
    assert all(own == [1.0] * 4 for own in algorithm.response_weights([[0.3] * 4] * 2))


@pytest.mark.parametrize("name", OFF)
def test_switched_off_it_changes_nothing(name):
    kind = find_algorithm(name)
    algorithm = kind(**OFF[name], **({"perception_weight": 0.0} if issubclass(kind, VAPO) else {}))
    scores = make_scores(algorithm)
    weights, added = algorithm.token_weights(scores), algorithm.token_loss(scores)
    assert weights is None or torch.equal(weights, torch.ones(7))
    assert added is None or not added.any()
    assert all(one == 1.0 for own in algorithm.response_weights([[0.1, 0.4], [0.2]]) for one in own)
    group = [Reward(accuracy, 0.0, accuracy / 2, 0.0, accuracy, accuracy / 2) for accuracy in (1.0, 0.5, 1.0, 0.0)]
    assert not np.any(algorithm.added_advantages(group, 0.5))
    assert algorithm.verdict_weights(judge(algorithm, make_rollout()), 30, 1.0) is None
    images = [Image.new("RGB", (8, 8))]
    assert all(algorithm.images_to_sample(images, n, 4, np.random.default_rng(1), 0.0) is images for n in range(4))


@pytest.mark.parametrize("name", sorted(set(BUILT_IN) - {"vapo"}))
def test_no_option_of_a_run_has_the_name_of_one_of_a_method(name):
    """It would be taken from the run, where it means something else."""
    kind = find_algorithm(name)
    inherited = VAPO if issubclass(kind, VAPO) else Algorithm
    own = {one.name for one in fields(kind)} - {one.name for one in fields(inherited)}
    assert not own & {one.name for one in fields(VAPOConfig)}


@pytest.mark.parametrize("name", BUILT_IN)
def test_presets_set_options_that_there_are(name):
    kind = find_algorithm(name)
    known = {one.name for one in (*fields(kind), *fields(VAPOConfig))}
    assert all(set(preset) <= known for preset in kind.presets.values())
    assert not kind.presets or "paper" in kind.presets
