"""The methods that come with vapo, in training: switched off they are GRPO, and their papers' settings train."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from algorithms.test_contract import OFF
from training.training_world import even_letters, make_config, make_rows, train

from vapo import VAPOTrainer
from vapo.algorithms.registry import find_algorithm
from vapo.errors import ConfigError

FAMILIES = ["llava", pytest.param("qwen2_5_vl", marks=pytest.mark.torchvision)]
PRESETS = [(name, preset) for name in OFF for preset in find_algorithm(name).presets]


@pytest.fixture
def make_trainer(checkpoints, tmp_path):
    def make(name, family="llava", **options) -> VAPOTrainer:
        config = make_config(tmp_path, **{"algorithm": name, "max_steps": 2, **options})
        return VAPOTrainer(checkpoints(family), even_letters, config, make_rows().remove_columns("claims"))

    return make


@pytest.mark.parametrize("packing", ["off", "require"])
@pytest.mark.parametrize("name", OFF)
def test_switched_off_it_is_grpo_bit_for_bit(make_trainer, name, packing):
    expected = train(make_trainer("grpo", packing=packing))
    for parameter, values in train(make_trainer(name, algorithm_options=OFF[name], packing=packing)).items():
        assert torch.equal(values, expected[parameter]), parameter


@pytest.mark.parametrize(("name", "preset"), PRESETS)
@pytest.mark.parametrize("family", FAMILIES)
def test_its_papers_settings_train(make_trainer, family, name, preset):
    trainer = make_trainer(name, family, preset=preset, beta=None, dynamic_sampling="none")
    kind = find_algorithm(name)
    assert type(trainer.algorithm) is kind
    for option, value in kind.presets[preset].items():
        holder = trainer.args if hasattr(trainer.args, option) else trainer.algorithm
        assert getattr(holder, option) == value or option == "dynamic_sampling", option
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == 2 and np.isfinite(losses).all()


@pytest.mark.parametrize("name", OFF)
def test_it_is_not_grpo(make_trainer, name):
    expected = train(make_trainer("grpo"))
    found = train(make_trainer(name))
    assert any(not torch.equal(found[parameter], values) for parameter, values in expected.items())


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
