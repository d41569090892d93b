from __future__ import annotations

import copy
import pickle
from dataclasses import fields

import pytest
from trl import GRPOConfig

from vapo import VAPOConfig
from vapo.algorithms.grpo import GRPO
from vapo.algorithms.options import REMOVED
from vapo.algorithms.vapo import VAPO
from vapo.core.rewards import PRESETS
from vapo.errors import ConfigError
from vapo.training.options import parse_run


def make(tmp_path, **options) -> VAPOConfig:
    return VAPOConfig(str(tmp_path), num_generations=2, per_device_train_batch_size=2, **options)


def test_without_a_preset_trl_keeps_its_defaults_and_the_reward_is_the_papers(tmp_path):
    config, stock = make(tmp_path), GRPOConfig(str(tmp_path), use_cpu=True, bf16=False)
    for name in ("beta", "entropy_coef", "epsilon", "epsilon_high", "loss_type", "use_bias_correction_kl"):
        assert getattr(config, name) == getattr(stock, name), name
    assert config.make_algorithm() == VAPO()
    assert config.dynamic_sampling == "none"


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_fills_what_was_left_open_and_nothing_else(tmp_path, name):
    preset = PRESETS[name]
    config = make(tmp_path, preset=name)
    assert (config.beta, config.epsilon, config.epsilon_high) == (preset.kl_weight, preset.clip_low, preset.clip_high)
    assert (config.loss_type, config.dynamic_sampling) == (preset.loss, preset.group_filter)
    assert config.use_bias_correction_kl is False
    algorithm = config.make_algorithm()
    assert isinstance(algorithm, VAPO)
    assert (algorithm.accuracy_gate, algorithm.rescale_perception) == (preset.gate, preset.rescale_perception)
    assert (algorithm.accuracy_weight, algorithm.format_weight) == (preset.accuracy_weight, preset.format_weight)
    for option in (
        "perception_weight",
        "perception_credit",
        "num_anchors",
        "anchor_sharing",
        "verdict",
        "claim_draws",
    ):
        assert getattr(algorithm, option) == getattr(preset, option), option
    assert algorithm.late_emphasis == preset.late_emphasis, "the default is that of all presets"
    own = make(tmp_path, preset=name, beta=0.5, accuracy_weight=0.3, dynamic_sampling="none", num_anchors=3)
    assert (own.beta, own.accuracy_weight, own.dynamic_sampling, own.num_anchors) == (0.5, 0.3, "none", 3)


@pytest.mark.parametrize("options", [{"use_cpu": True}, {"use_cpu": True, "fp16": True}, {"bf16": True}])
def test_precision_is_trls_where_the_cpu_is_asked_for(tmp_path, options):
    stock = GRPOConfig(str(tmp_path), **{**options, "use_cpu": True})
    ours = make(tmp_path, **options)
    assert (ours.bf16, ours.fp16) == (stock.bf16, stock.fp16)


def test_precision_is_float32_on_a_machine_without_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.accelerator.is_available", lambda: False)
    config = make(tmp_path)
    assert config.use_cpu and not config.bf16


def test_a_weight_that_normalisation_would_cancel_is_left_to_the_trainer(tmp_path):
    config = make(tmp_path, multi_objective_aggregation="normalize_then_sum", perception_weight=0.3)
    assert config.make_algorithm() == VAPO(perception_weight=1.0) and config.perception_weight == 0.3
    apart = make(
        tmp_path,
        multi_objective_aggregation="normalize_then_sum",
        perception_weight=0.3,
        perception_credit="advantage",
    )
    assert apart.make_algorithm() == VAPO(perception_weight=0.3, perception_credit="advantage")
    off = make(tmp_path, multi_objective_aggregation="normalize_then_sum", perception_weight=0.0)
    assert off.make_algorithm() == VAPO(perception_weight=0.0)


def test_grpo_needs_no_claims(tmp_path):
    algorithm = make(tmp_path, algorithm="grpo").make_algorithm()
    assert isinstance(algorithm, GRPO) and not algorithm.needs.claims


def test_probe_seed_follows_the_run(tmp_path):
    assert make(tmp_path, seed=5).probe_seed == 5 and make(tmp_path, seed=5, probe_seed=6).probe_seed == 6


def test_every_option_of_trl_is_there():
    assert {field.name for field in fields(GRPOConfig)} <= {field.name for field in fields(VAPOConfig)}


class TestUpdateBatchSize:
    """Whatever the number of processes, an update has as many completions, and a rollout too."""

    @pytest.mark.parametrize(("processes", "accumulation"), [(1, 24), (2, 12), (8, 3)])
    def test_accumulation_follows_the_number_of_processes(self, tmp_path, monkeypatch, processes, accumulation):
        monkeypatch.setattr("vapo.training.config.count_processes", lambda: processes)
        monkeypatch.setattr(VAPOConfig, "world_size", processes)
        config = make(tmp_path, update_batch_size=48, generation_batch_size=144)
        assert config.gradient_accumulation_steps == accumulation
        assert config.per_device_train_batch_size * processes * config.gradient_accumulation_steps == 48
        assert config.per_device_train_batch_size * processes * config.steps_per_generation == 144

    @pytest.mark.parametrize("size", [7, 1])
    def test_what_does_not_divide_is_refused(self, tmp_path, size):
        with pytest.raises(ConfigError, match=f"update_batch_size={size} is no multiple of the 2 completions"):
            make(tmp_path, update_batch_size=size)

    def test_two_values_are_refused(self, tmp_path):
        with pytest.raises(ConfigError, match="makes gradient_accumulation_steps 4, but it is set to 3"):
            make(tmp_path, update_batch_size=8, gradient_accumulation_steps=3)
        assert make(tmp_path, update_batch_size=8, gradient_accumulation_steps=4).gradient_accumulation_steps == 4


def test_copies_keep_the_keys_that_what_is_pickled_hides(tmp_path):
    config = make(tmp_path, vllm_server_base_url="http://me:secret-word@host:1/", hub_token="hf_abcdefghijklmnopqrst")
    for twin in (copy.copy(config), copy.deepcopy(config)):
        assert (twin.vllm_server_base_url, twin.hub_token) == (config.vllm_server_base_url, config.hub_token)
    assert b"secret-word" not in pickle.dumps(config)


@pytest.mark.parametrize("name", REMOVED)
def test_an_option_that_there_was_says_what_happens_now(tmp_path, name):
    with pytest.raises(ConfigError, match=f"no option '{name}', which was removed: {REMOVED[name]}"):
        make(tmp_path, **{name: 1})
    (tmp_path / "run.yaml").write_text(f"model_name_or_path: lab\ndata: lab\n{name}: 1\n")
    for arguments in (["--config", str(tmp_path / "run.yaml")], [f"--{name}", "1"]):
        with pytest.raises(ConfigError, match=f"unknown option .*{name}', which was removed: {REMOVED[name]}"):
            parse_run(arguments)
