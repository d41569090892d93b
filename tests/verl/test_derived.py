"""What a run's options become on verl: nothing of the method is lost, and what has no counterpart is said."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from vapo.errors import ConfigError
from vapo.verl.derived import Machines
from vapo.verl.planning import plan_recipe, save_files
from vapo.verl.settings import read_settings

OF_THE_PAPER = ("qwen2_5_vl_3b", "qwen2_5_vl_7b", "qwen3_vl_8b")


def plan(tmp_path: Path, *changes: str, recipe: str = "qwen2_5_vl_7b", machines: Machines = Machines()):
    planned = plan_recipe(recipe, ["use_cpu=true", *changes], machines, tmp_path)
    (loop,) = yaml.safe_load(planned.run.files["agent_loop.yaml"])
    return yaml.safe_load(planned.run.files["verl.yaml"]), loop, planned.run


@pytest.mark.parametrize("recipe", OF_THE_PAPER)
def test_the_papers_run(recipe, tmp_path):
    verl, loop, _ = plan(tmp_path, recipe=recipe)
    rollout, actor = verl["actor_rollout_ref"]["rollout"], verl["actor_rollout_ref"]["actor"]
    assert (verl["data"]["train_batch_size"], actor["ppo_mini_batch_size"], rollout["n"]) == (384, 128, 5)
    assert (verl["algorithm"]["adv_estimator"], actor["loss_agg_mode"]) == ("grpo", "seq-mean-token-mean")
    assert (actor["use_kl_loss"], actor["kl_loss_coef"], actor["kl_loss_type"]) == (True, 0.01, "low_var_kl")
    assert (actor["clip_ratio_low"], actor["clip_ratio_high"]) == (0.2, 0.2)
    assert float(actor["optim"]["lr"]) == 5e-6 and verl["trainer"]["total_epochs"] == 2
    assert verl["algorithm"]["filter_groups"]["enable"] is False
    assert verl["trainer"]["save_freq"] == 20  # rollouts, as the released code counts
    assert rollout["max_model_len"] == 4096 + 2048 + 128
    assert (loop["num_anchors"], loop["late_emphasis"], loop["perception_weight"]) == (20, 1.5, 0.1)
    assert loop["accuracy_gate"] == "strict" and loop["rescale_perception"] is False


def test_options_that_turn_perception_off_are_warned_of(tmp_path, caplog):
    plan(tmp_path)
    assert "hardly differ from GRPO" not in caplog.text
    plan(tmp_path, "dynamic_sampling=accuracy")
    assert "dynamic_sampling='accuracy' replaces these groups" in caplog.text


def test_the_released_codes_run(tmp_path):
    verl, loop, _ = plan(tmp_path, "preset=released", "beta=0", "epsilon_high=0.28")
    actor, algorithm = verl["actor_rollout_ref"]["actor"], verl["algorithm"]
    assert actor["loss_agg_mode"] == "token-mean" and actor["use_kl_loss"] is False
    assert (actor["clip_ratio_low"], actor["clip_ratio_high"]) == (0.2, 0.28)
    assert algorithm["filter_groups"] == {"enable": True, "metric": "total_reward"}
    sampler = verl["trainer"]["v1"]["sampler"]["sampler_kwargs"]
    assert sampler == {"filter_groups_metric": "total_reward", "train_batch_size": 384}
    assert (loop["accuracy_weight"], loop["format_weight"], loop["rescale_perception"]) == (0.8, 0.1, True)


def test_the_recommended_run_is_refused_by_name(tmp_path):
    with pytest.raises(ConfigError, match="perception_credit"):
        plan(tmp_path, "preset=recommended", "num_anchors=8", "perception_weight=0.5")


def test_values_say_what_they_are_made_of(tmp_path):
    text = plan(tmp_path)[2].files["verl.yaml"]
    assert "train_batch_size: 384  # generation_batch_size (paper: rollout batch of 384 prompts x 5)" in text
    changed = plan(tmp_path, "num_generations=10")[2].files["verl.yaml"]
    assert "n: 10  # num_generations\n" in changed  # the recipe's source is not that of a changed value


def test_the_agent_loops_file_is_one_that_the_loop_takes(tmp_path):
    loop = plan(tmp_path)[1]
    assert loop["name"] == "vapo" and loop["_target_"] == "vapo.verl.agent_loop.VAPOAgentLoop"
    read_settings({name: value for name, value in loop.items() if name not in ("name", "_target_")})


def test_updates_become_rollouts_and_a_split_is_validated_on(tmp_path):
    changes = (
        "max_steps=90",
        "eval_split=heldout",
        "eval_strategy=steps",
        "eval_steps=30",
        "per_device_eval_batch_size=5",
    )
    verl, _, run = plan(tmp_path, *changes)
    trainer = verl["trainer"]
    assert (trainer["total_training_steps"], trainer["test_freq"], trainer["val_before_train"]) == (30, 10, True)
    assert verl["data"]["val_files"] == str(tmp_path / "validation.parquet")
    assert sum(command.endswith("--validation") for command in run.commands) == 1
    assert sum(f"--processor {verl['actor_rollout_ref']['model']['path']}" in command for command in run.commands) == 2


def test_adapters(tmp_path):
    verl, _, _ = plan(tmp_path, recipe="qwen2_5_vl_7b_lora_80gb", machines=Machines(1, 1))
    model = verl["actor_rollout_ref"]["model"]
    assert (model["lora_rank"], model["lora_alpha"]) == (32, 64) and isinstance(model["target_modules"], str)
    assert verl["actor_rollout_ref"]["actor"]["fsdp_config"]["model_dtype"] == "bf16"


@pytest.mark.parametrize("nodes", [1, 2, 4, 16])
def test_batches_are_the_same_on_any_number_of_machines(nodes, tmp_path):
    verl = plan(tmp_path, machines=Machines(nodes))[0]
    assert (verl["data"]["train_batch_size"], verl["trainer"]["nnodes"]) == (384, nodes)


@pytest.mark.parametrize(
    ("changes", "machines", "message"),
    [
        ([], Machines(3), "cannot be spread over 24 GPUs"),
        (["update_batch_size=638", "per_device_train_batch_size=1"], Machines(1, 2), "must each be a multiple"),
        (["loss_type=cispo"], Machines(), "loss_type='cispo' has no counterpart"),
        (["lr_scheduler_type=linear"], Machines(), "lr_scheduler_type='linear' has no counterpart"),
        (["own_claims_steps=5"], Machines(), "own_claims_steps cannot be had on verl"),
        (["rows_without_claims=grpo"], Machines(), "rows_without_claims='grpo' cannot be had on verl"),
        (["mask_truncated_completions=true"], Machines(), "mask_truncated_completions has no counterpart"),
        (["load_in_4bit=true"], Machines(), "load_in_4bit has no counterpart"),
        (["model_revision=v2"], Machines(), "verl loads no revision"),
        (["delta=2.0", "min_p=0.1"], Machines(), "no counterpart on verl is known for delta, min_p"),
        (["learning_rate"], Machines(), "is no NAME=VALUE"),
        (["learning_rates=1"], Machines(), "the nearest is 'learning_rate'"),
        ([], Machines(0), "needs at least one GPU"),
    ],
    ids=str,
)
def test_what_verl_cannot_do_is_refused(changes, machines, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        plan(tmp_path, *changes, machines=machines)


def test_all_that_verl_cannot_do_is_said_at_once(tmp_path):
    changes = ["loss_type=cispo", "lr_scheduler_type=linear", "own_claims_steps=5", "load_in_4bit=true", "min_p=0.1"]
    with pytest.raises(ConfigError) as refused:
        plan(tmp_path, *changes, "update_batch_size=638", "per_device_train_batch_size=1", machines=Machines(3))
    lines = str(refused.value).splitlines()
    assert lines[0] == "this run cannot go to verl as it is:" and len(lines) == 8
    for word in ("24 GPUs", "must each", "'cispo'", "'linear'", "own_claims_steps", "load_in_4bit", "for min_p"):
        assert sum(word in line for line in lines) == 1


def test_files_that_say_something_else_are_not_overwritten(tmp_path):
    planned = plan_recipe("qwen2_5_vl_7b", ["use_cpu=true"], Machines(), tmp_path / "run")
    save_files(planned)
    save_files(planned)
    (tmp_path / "run" / "verl.yaml").write_text("mine")
    with pytest.raises(ConfigError, match=r"verl\.yaml is there and says something else"):
        save_files(planned)
    assert (tmp_path / "run" / "verl.yaml").read_text() == "mine"
