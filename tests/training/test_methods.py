"""The methods that come with vapo, in training: switched off they are GRPO, and their papers' settings train."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from algorithms.test_contract import OFF
from training.training_world import even_letters, make_config, make_rows, metrics_of, train

from vapo import VAPOTrainer
from vapo.algorithms.registry import find_algorithm
from vapo.errors import ConfigError

FAMILIES = [
    "llava",
    *(pytest.param(one, marks=pytest.mark.torchvision) for one in ("qwen2_5_vl", "smolvlm", "internvl")),
]
PRESETS = [(name, preset) for name in OFF for preset in find_algorithm(name).presets or ("recommended",)]


def make(checkpoints, folder, name, family="llava", **options) -> VAPOTrainer:
    config = make_config(folder, **{"algorithm": name, "max_steps": 2, "perception_weight": 0.0, **options})
    return VAPOTrainer(checkpoints(family), even_letters, config, make_own_rows(name))


def make_own_rows(name):
    """Return rows with claims for methods that ask them alone."""
    rows = make_rows()
    return rows if find_algorithm(name)().needs.claims else rows.remove_columns("claims")


@pytest.fixture
def make_trainer(checkpoints, tmp_path):
    return partial(make, checkpoints, tmp_path)


@pytest.fixture(scope="module", params=["off", "require"])
def plain(request, checkpoints, tmp_path_factory):
    """Return a choice of packing, and the parameters that GRPO leads to with it."""
    return request.param, train(make(checkpoints, tmp_path_factory.mktemp("plain"), "grpo", packing=request.param))


@pytest.mark.parametrize("name", OFF)
def test_switched_off_it_is_grpo_bit_for_bit(make_trainer, plain, name):
    packing, expected = plain
    for parameter, values in train(make_trainer(name, algorithm_options=OFF[name], packing=packing)).items():
        assert torch.equal(values, expected[parameter]), parameter


@pytest.mark.parametrize(("name", "preset"), PRESETS)
@pytest.mark.parametrize("family", FAMILIES)
def test_its_papers_settings_train(make_trainer, family, name, preset):
    trainer = make_trainer(name, family, preset=preset, beta=None, dynamic_sampling="none")
    kind = find_algorithm(name)
    assert type(trainer.algorithm) is kind
    for option, value in kind.presets.get(preset, {}).items():
        holder = trainer.args if hasattr(trainer.args, option) else trainer.algorithm
        assert getattr(holder, option) == value or option == "dynamic_sampling", option
    trainer.train()
    losses = metrics_of(trainer, "loss")
    assert len(losses) == 2 and np.isfinite(losses).all()


@pytest.mark.parametrize("name", [name for name in OFF if name != "vapo_tokens"])  # see test_token_credit.py
def test_switched_on_it_moves_what_is_trained_on(make_trainer, name):
    """It changes the images to sample from, advantages, or the loss of one and the same rollout."""
    found = []
    for chosen in ("grpo", name):
        trainer = make_trainer(chosen, beta=0.0)
        with torch.no_grad():
            for parameter in trainer.model.parameters():
                parameter.mul_(5)  # as they are drawn, hardly anything depends on the image
        trainer.model.train()
        trainer.current_gradient_accumulation_steps = 1
        torch.manual_seed(0)
        output = trainer._generate_and_score_completions([make_own_rows(name)[0]] * 8)
        found.append((output["completion_ids"], output["advantages"], trainer.compute_loss(trainer.model, output)))
    (ids, advantages, loss), (own_ids, own_advantages, own_loss) = found
    if name == "noisy_rollout":
        assert not torch.equal(ids[2:4], own_ids[2:4])
    elif name == "papo":
        assert torch.equal(advantages, own_advantages) and loss != own_loss
    else:
        shown = own_advantages if own_advantages.dim() > 1 else own_advantages[:, None]
        assert torch.equal(ids, own_ids) and not torch.allclose(shown, advantages[:, None].expand_as(shown))


@pytest.mark.parametrize("packing", ["off", "require"])
def test_entropies_have_a_gradient(make_trainer, packing):
    """With advantages that are all 0, the entropies alone move the policy."""
    trained = []
    for eta in (0.0, 1.0):
        trainer = make_trainer("papo", algorithm_options={"gamma": 0.0, "eta": eta}, packing=packing, beta=0.0)
        trainer.reward_weights.zero_()
        trained.append(train(trainer))
    assert any(not torch.equal(values, trained[1][parameter]) for parameter, values in trained[0].items())


@pytest.mark.parametrize(
    ("name", "preset", "message"),
    [
        ("papo", "recommended", "'papo' has no preset 'recommended'; choose paper or paper_dapo, or leave preset out"),
        ("grpo", "paper_dapo", "'grpo' has no preset 'paper_dapo'; choose paper or released or recommended"),
    ],
)
def test_a_preset_of_other_methods(make_trainer, name, preset, message):
    with pytest.raises(ConfigError, match=message):
        make_trainer(name, preset=preset)


@pytest.mark.parametrize("credit", ["reward", "advantage"])
def test_methods_in_a_list_train_together(checkpoints, tmp_path, credit):
    own = {"algorithm_options": {"kept_tokens": 0.5}, "perception_credit": credit}
    config = make_config(tmp_path, algorithm=["vapo", "vppo"], max_steps=2, **own)
    assert config.algorithm == "vapo+vppo"
    trainer = VAPOTrainer(checkpoints("llava"), even_letters, config, make_rows())
    trainer.train()
    assert [type(part).__name__ for part in trainer.algorithm.parts] == ["VAPO", "VPPO"]
    assert bool(metrics_of(trainer, "rewards/perception_bonus/mean")) == (credit == "reward")
    assert np.isfinite(metrics_of(trainer, "loss")).all()
