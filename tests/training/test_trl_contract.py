"""What we lean on of TRL is as it was."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from trl import GRPOTrainer
from trl.trainer import grpo_trainer

PRIVATE_METHODS = {
    "_generate": ["self", "prompts"],
    "_generate_single_turn": [
        "self",
        "prompt_ids",
        "images",
        "multimodal_fields",
        "num_generations",
        "has_tool_images",
    ],
    "_generate_and_score_completions": ["self", "inputs"],
    "_calculate_rewards": ["self", "inputs", "prompts", "completions", "completion_ids_list"],
    "_log_metric": ["self", "name", "value"],
    "_log_completion_extra": ["self", "column", "values"],
    "_load_from_checkpoint": ["self", "resume_from_checkpoint", "model"],
    "_load_best_model": ["self"],
    "_load_optimizer_and_scheduler": ["self", "checkpoint"],
    "training_step": ["self", "model", "inputs", "num_items_in_batch"],
}


@pytest.mark.parametrize(("name", "parameters"), PRIVATE_METHODS.items())
def test_trl_methods_we_lean_on_keep_their_signature(name, parameters):
    method = inspect.unwrap(getattr(GRPOTrainer, name))
    assert list(inspect.signature(method).parameters) == parameters


def test_trl_generate_returns_what_we_unpack(make_trainer):
    returns = inspect.getsource(inspect.unwrap(GRPOTrainer._generate)).strip().splitlines()[-1].split()
    assert [name.strip(",") for name in returns[1:]] == [
        "prompt_ids",
        "completion_ids",
        "tool_mask",
        "completions",
        "logprobs",
        "extra_fields",
        "images",
        "tool_images",
    ]


def test_trl_log_probability_method_takes_what_we_pass():
    method = inspect.unwrap(GRPOTrainer._get_per_token_logps_and_entropies)
    parameters = inspect.signature(method).parameters
    assert list(parameters)[:2] == ["self", "model"] and "num_images" in parameters
    assert "batch_num_images" not in parameters  # when TRL takes it itself, our override has no more to do


def test_trl_attributes_we_lean_on_exist(make_trainer):
    trainer = make_trainer()
    leaned_on = ["_step", "_metrics", "_tokenizer", "_dist", "generation_config", "generation_kwargs"]
    for name in [*leaned_on, "is_fsdp_enabled", "is_deepspeed_enabled", "chat_template_kwargs", "reward_weights"]:
        assert hasattr(trainer, name), name
    assert isinstance(trainer._dist.is_zero3, bool)
    assert Path(inspect.getfile(GRPOTrainer)).name == "grpo_trainer.py"


def test_trl_prints_completions_by_a_function_that_can_be_stood_in_for():
    names = ["prompts", "completions", "rewards", "advantages", "step", "num_samples", "extra"]
    assert list(inspect.signature(grpo_trainer.print_prompt_completions_sample).parameters) == names
    assert "print_prompt_completions_sample(" in inspect.getsource(inspect.unwrap(GRPOTrainer.log))
