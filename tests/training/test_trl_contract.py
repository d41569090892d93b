"""What we lean on of TRL is as it was."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from trl import GRPOTrainer
from trl.generation import vllm_client, vllm_generation
from trl.generation.vllm_generation import VLLMGeneration
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


class TestRolloutsOnVLLM:
    def test_the_engine_is_called_as_it_is_fixed(self):
        source = inspect.getsource(VLLMGeneration.generate)
        assert "self.llm.generate(vllm_prompts, sampling_params=sampling_params, use_tqdm=False)" in source
        assert 'row["multi_modal_data"] = {"image": img_list if len(img_list) > 1 else img_list[0]}' in source
        assert "SamplingParams(**generation_kwargs)" in source and "generation_kwargs.update(self.gene" in source

    def test_weights_are_synchronised_and_caches_reset_where_they_are_fixed(self):
        assert list(inspect.signature(VLLMGeneration.sync_weights).parameters) == ["self"]
        source = inspect.getsource(VLLMGeneration.sync_weights)
        assert (
            "in self._iter_named_params():" in source and "model_runner.model.load_weights([(name, param)])" in source
        )
        assert list(inspect.signature(VLLMGeneration._place_features).parameters) == ["self", "features", "prompt_ids"]
        assert "self.llm.reset_prefix_cache()" in source and "self.vllm_client.reset_prefix_cache()" in source
        assert "reset_encoder_cache" not in source  # when TRL does it, ours has no more to do

    def test_sleep_is_what_it_was(self):
        source = inspect.getsource(VLLMGeneration.generate)
        assert 'self.llm.wake_up(tags=["kv_cache"])' in source and "self.llm.sleep(level=2)" in source
        assert "self._llm_weights_sleeping = True" in source

    def test_the_server_is_asked_at_the_same_endpoints_with_expanded_prompts(self):
        client = inspect.getsource(vllm_client.VLLMClient)
        assert "/v1/chat/completions/render" in client and "/inference/v1/generate" in client
        assert "self._place_features(prompt_features, prompt_ids)" in inspect.getsource(VLLMGeneration.generate)
        parameters = inspect.signature(VLLMGeneration.generate).parameters
        assert list(parameters) == ["self", "prompts", "images", "num_generations", "profiler"]
        assert vllm_generation.VLLMClient is vllm_client.VLLMClient
