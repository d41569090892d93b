from __future__ import annotations

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from algorithms.test_contract import judge, make_rollout
from algorithms.token_scores import score_tokens

from vapo.algorithms.algorithm import SecondView
from vapo.algorithms.attention_reward import AttentionReward
from vapo.algorithms.combined import Combined
from vapo.algorithms.noisy_rollout import NoisyRollout
from vapo.algorithms.papo import PAPO
from vapo.algorithms.pgpo import PGPO
from vapo.algorithms.registry import make_algorithm
from vapo.algorithms.vapo import VAPO
from vapo.algorithms.vgpo import VGPO
from vapo.algorithms.vppo import VPPO
from vapo.errors import ConfigError
from vapo.types import Reward

SCORES = score_tokens([0.5, 0.25, 0.5, 0.5, 0.5], [0.25, 0.5, 0.5, 0.4, 0.6])


def test_each_does_what_it_alone_changes():
    vapo, vppo = VAPO(anchor_sharing="group"), VPPO()
    both = Combined(parts=(vppo, vapo))
    assert both.needs.claims and both.needs.bonus and both.needs.shared_draws and both.needs.token_weights
    assert both.needs.second_view == vppo.needs.second_view and not both.needs.token_loss
    assert both.needs.probabilities == vapo.needs.probabilities and both.max_probes == vapo.max_probes
    rollout = make_rollout()
    assert both.probes(rollout, np.random.default_rng(1)) == vapo.probes(rollout, np.random.default_rng(1))
    verdicts = judge(vapo, rollout)
    assert both.reward(1.0, 1.0, verdicts, 0.5) == vapo.reward(1.0, 1.0, verdicts, 0.5)
    assert [both.uses_verdicts(accuracy, 0.5) for accuracy in (0.0, 1.0)] == [False, True]
    assert both.token_weights(SCORES).tolist() == vppo.token_weights(SCORES).tolist()
    assert both.summarize(SCORES) == vppo.summarize(SCORES)
    assert both.response_weights([[0.1, 0.3]]) == vppo.response_weights([[0.1, 0.3]])
    assert both.token_loss(SCORES) is None
    assert pickle.loads(pickle.dumps(both)) == both


def test_a_loss_and_weights_that_share_a_view():
    both = Combined(parts=(PAPO(view_strength=1.0), PGPO()))
    assert both.needs.second_view == SecondView(strength=1.0)
    assert both.token_loss(SCORES).tolist() == PAPO(view_strength=1.0).token_loss(SCORES).tolist()


@pytest.mark.parametrize("other", [VPPO(), VGPO(), VAPO()])
def test_each_adds_to_advantages_what_it_alone_goes_by(other):
    """VAPO goes by verdicts, the attention reward by what it sums a response up by."""
    adding = AttentionReward() if isinstance(other, VAPO) else VAPO(perception_credit="advantage")
    both = Combined(parts=(adding, other))
    group = [Reward(1.0, 0.0, perception, 0.0, 1.0, summary) for perception, summary in ((0.2, 0.9), (0.8, 0.1))]
    assert both.added_advantages(group, 0.5) == adding.added_advantages(group, 0.5) != [0.0, 0.0]


def test_other_images():
    both = Combined(parts=(VAPO(), NoisyRollout()))
    images = []
    assert both.needs.sampled_images and both.images_to_sample(images, 0, 4, np.random.default_rng(0), 0.0) is images


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((VPPO(), PGPO()), "VPPO and PGPO cannot be combined: each weighs tokens; leave one of them out"),
        ((VPPO(), VGPO()), "VPPO and VGPO cannot be combined: each sums up responses"),
        ((PAPO(), PGPO()), "PAPO and PGPO cannot be combined: they need different second views"),
    ],
)
def test_what_overlaps_is_refused(parts, message):
    with pytest.raises(ConfigError, match=message):
        Combined(parts=parts)


class TestByName:
    def make(self, name, own=None, **shared):
        return make_algorithm(SimpleNamespace(algorithm=name, **shared), own)

    def test_options_go_to_the_method_that_has_them(self):
        made = self.make("vapo+vppo", {"kept_tokens": 0.5}, perception_weight=0.3, accuracy_weight=0.9)
        assert made == Combined(
            parts=(VAPO(perception_weight=0.3, accuracy_weight=0.9), VPPO(kept_tokens=0.5, accuracy_weight=0.9)),
            accuracy_weight=0.9,
        )

    @pytest.mark.parametrize(
        ("name", "own", "message"),
        [
            ("vapo+vppoo", {}, "'vppoo' is none of"),
            ("vapo+vapo", {}, "names a method twice; name each once"),
            ("vapo+vppo", {"kept": 1}, "vapo.vppo has no option 'kept'"),
            ("papo+vppo", {"view_strength": 1}, "papo and vppo have an option 'view_strength'; leave it out"),
        ],
    )
    def test_refusals(self, name, own, message):
        with pytest.raises(ConfigError, match=message):
            self.make(name, own)
