"""A run's options in verl's terms: what each becomes, and what verl has no counterpart for."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vapo.training.checks import find_idle_bonus
from vapo.training.options import RunOptions
from vapo.verl.parts import FILTERS
from vapo.verl.settings import AGENT_NAME, LoopSettings

Value = str | int | float | bool | None | list[str] | list[float]

LOSSES = {
    "grpo": "seq-mean-token-mean",
    "bnpo": "token-mean",
    "dapo": "token-mean",
    "dr_grpo": "seq-mean-token-sum-norm",
}
"""`loss_type` of TRL as `loss_agg_mode` of verl."""

SCHEDULES = {"constant": "constant", "constant_with_warmup": "constant", "cosine": "cosine"}
TRACKERS = ("wandb", "tensorboard", "mlflow", "swanlab", "trackio", "clearml")
PROBE_ROOM = 128
"""Tokens that the servers' context holds for a claim, behind the longest prompt and completion."""

# fmt: off
OF_TRL = {
    "use_cpu", "bf16", "fp16", "use_vllm", "vllm_mode", "vllm_max_model_length", "vllm_server_base_url",
    "vllm_server_host", "vllm_server_port", "vllm_server_timeout", "vllm_group_port", "vllm_enable_sleep_mode",
    "vllm_importance_sampling_correction", "packing", "probe_backend", "logging_steps",
    "logging_strategy", "log_completions", "num_completions_to_print", "disable_tqdm", "run_name",
    "gradient_accumulation_steps", "steps_per_generation", "save_strategy", "dataloader_num_workers",
    "ddp_timeout", "fsdp", "fsdp_config", "deepspeed", "gradient_checkpointing_kwargs", "per_device_eval_batch_size",
    "num_generations_eval", "attn_implementation",
}
"""Options that say how TRL does it, which verl does in its own way; nothing of the method is lost without them."""

OF_DATA = {
    "data", "split", "eval_split", "question_column", "answer_column", "images_column", "claims_column",
    "id_column", "image_folder", "system_prompt", "on_bad_row", "allow_urls", "limit", "preset", "env",
    "own_claims_steps", "rows_without_claims", "mask_truncated_completions", "importance_sampling_level",
    "load_in_4bit", "load_in_8bit",
}
"""Options that `vapo verl convert` takes, that a preset stands for, or that are refused when they are set."""
# fmt: on


@dataclass(frozen=True, slots=True)
class Machines:
    """What a run on verl is spread over: machines, and GPUs of each."""

    nodes: int = 1
    gpus_per_node: int = 8

    @property
    def gpus(self) -> int:
        """GPUs in all."""
        return self.nodes * self.gpus_per_node


@dataclass(frozen=True, slots=True)
class Derived:
    """One value of verl's configuration.

    Attributes:
        path: where it stands, as in `actor_rollout_ref.rollout.n`.
        value: the value.
        options: of the run, which it is made of.
        why: said where it is made of none, or is not plain to see.
    """

    path: str
    value: Value
    options: tuple[str, ...] = ()
    why: str = ""


def derive(options: RunOptions, machines: Machines) -> list[Derived]:
    """Return verl's configuration of a run, without the files it reads.

    What has no counterpart is None here, and told by `vapo.verl.obstacles`.
    """
    return [
        *_derive_batches(options, machines),
        *_derive_rollouts(options, machines),
        *_derive_loss(options),
        *_derive_optimizer(options),
        *_derive_model(options),
        *_derive_course(options, machines),
    ]


def _derive_batches(options: RunOptions, machines: Machines) -> list[Derived]:
    training: Any = options.training
    group, rollout, update = training.num_generations, training.generation_batch_size, find_update_batch(training)
    micro = training.per_device_train_batch_size
    each = "log_prob_micro_batch_size_per_gpu"
    own = ("per_device_train_batch_size",)
    return [
        Derived("data.train_batch_size", rollout // group, ("generation_batch_size", "num_generations"), "in prompts"),
        Derived("actor_rollout_ref.rollout.n", group, ("num_generations",)),
        Derived("actor_rollout_ref.actor.ppo_mini_batch_size", update // group, ("update_batch_size",), "in prompts"),
        Derived("actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu", micro, own),
        Derived(f"actor_rollout_ref.rollout.{each}", micro, own),
        Derived(f"actor_rollout_ref.ref.{each}", micro, own),
        Derived("actor_rollout_ref.actor.ppo_epochs", training.num_iterations, ("num_iterations",)),
    ]


def find_update_batch(training: Any) -> int:
    """Return the completions of one update."""
    alone = training.per_device_train_batch_size * training.gradient_accumulation_steps
    return int(training.update_batch_size or alone)


def _derive_rollouts(options: RunOptions, machines: Machines) -> list[Derived]:
    training: Any = options.training
    rollout = "actor_rollout_ref.rollout"
    prompt, completion = options.data.max_prompt_tokens or 4096, training.max_completion_length
    return [
        Derived("data.max_prompt_length", prompt, ("max_prompt_tokens",)),
        Derived("data.filter_overlong_prompts", True, (), "longer ones are left out, as max_prompt_tokens says"),
        Derived("data.max_response_length", completion, ("max_completion_length",)),
        Derived(f"{rollout}.max_model_len", prompt + completion + PROBE_ROOM, (), "prompt, completion and a claim"),
        Derived(f"{rollout}.name", "vllm", (), "or sglang, by reading of its source alone"),
        Derived(f"{rollout}.temperature", training.temperature, ("temperature",)),
        Derived(f"{rollout}.top_p", training.top_p, ("top_p",)),
        Derived(f"{rollout}.top_k", training.top_k or -1, ("top_k",)),
        Derived(f"{rollout}.seed", training.seed, ("seed",)),
        Derived(f"{rollout}.gpu_memory_utilization", training.vllm_gpu_memory_utilization, (_MEMORY,)),
        Derived(f"{rollout}.tensor_model_parallel_size", training.vllm_tensor_parallel_size, (_PARALLEL,)),
        Derived(f"{rollout}.logprobs_mode", "processed_logprobs", (), "probes read shares among the allowed tokens"),
        Derived(f"{rollout}.enable_prefix_caching", True, (), "a probe begins with its rollout"),
        Derived(f"{rollout}.agent.default_agent_loop", AGENT_NAME, (), "rows name it as well"),
        Derived(f"{rollout}.agent.num_workers", 8 * machines.nodes, (), "verl's own number for one machine"),
    ]


_MEMORY, _PARALLEL = "vllm_gpu_memory_utilization", "vllm_tensor_parallel_size"


def _derive_loss(options: RunOptions) -> list[Derived]:
    training: Any = options.training
    actor = "actor_rollout_ref.actor"
    high = training.epsilon if training.epsilon_high is None else training.epsilon_high
    filters = training.dynamic_sampling != "none"
    return [
        Derived("algorithm.adv_estimator", "grpo", ("algorithm",)),
        Derived("algorithm.norm_adv_by_std_in_grpo", training.scale_rewards == "group", ("scale_rewards",)),
        Derived("algorithm.use_kl_in_reward", False, (), "the penalty stands in the loss"),
        Derived("algorithm.filter_groups.enable", filters, ("dynamic_sampling",)),
        Derived("algorithm.filter_groups.metric", FILTERS.get(training.dynamic_sampling), ("dynamic_sampling",)),
        Derived(f"{actor}.use_kl_loss", training.beta > 0, ("beta",)),
        Derived(f"{actor}.kl_loss_coef", training.beta, ("beta",)),
        Derived(f"{actor}.kl_loss_type", "low_var_kl", ("use_bias_correction_kl",), "k3"),
        Derived(f"{actor}.clip_ratio", training.epsilon, ("epsilon",)),
        Derived(f"{actor}.clip_ratio_low", training.epsilon, ("epsilon",)),
        Derived(f"{actor}.clip_ratio_high", high, ("epsilon_high",)),
        Derived(f"{actor}.loss_agg_mode", LOSSES.get(training.loss_type), ("loss_type",)),
        Derived(f"{actor}.entropy_coeff", 0, (), "none"),
    ]


def find_schedule(training: Any) -> str:
    """Return the name of the schedule of the learning rate."""
    return str(getattr(training.lr_scheduler_type, "value", training.lr_scheduler_type))


def _derive_optimizer(options: RunOptions) -> list[Derived]:
    training: Any = options.training
    actor = "actor_rollout_ref.actor"
    share = 0 < training.warmup_steps < 1
    return [
        Derived(f"{actor}.optim.lr", training.learning_rate, ("learning_rate",)),
        Derived(f"{actor}.optim.lr_scheduler_type", SCHEDULES.get(find_schedule(training)), ("lr_scheduler_type",)),
        Derived(f"{actor}.optim.lr_warmup_steps", -1 if share else int(training.warmup_steps), ("warmup_steps",)),
        Derived(f"{actor}.optim.lr_warmup_steps_ratio", training.warmup_steps if share else 0.0, ("warmup_steps",)),
        Derived(f"{actor}.optim.weight_decay", training.weight_decay, ("weight_decay",)),
        Derived(f"{actor}.optim.betas", [training.adam_beta1, training.adam_beta2], ("adam_beta1", "adam_beta2")),
        Derived(f"{actor}.grad_clip", training.max_grad_norm, ("max_grad_norm",)),
        Derived(f"{actor}.optim.clip_grad", training.max_grad_norm, ("max_grad_norm",)),
        Derived(f"{actor}.data_loader_seed", training.seed, ("seed",)),
        Derived(f"{actor}.freeze_vision_tower", training.freeze_vision, ("freeze_vision",)),
    ]


def _derive_model(options: RunOptions) -> list[Derived]:
    training, model = options.training, options.model
    half = str(model.dtype) in ("bfloat16", "torch.bfloat16")
    derived = [
        Derived("actor_rollout_ref.model.path", options.model_name, ("model_name_or_path", "model_revision")),
        Derived("actor_rollout_ref.model.trust_remote_code", training.trust_remote_code, ("trust_remote_code",)),
        Derived("actor_rollout_ref.model.enable_gradient_checkpointing", training.gradient_checkpointing, (_CKPT,)),
        Derived("actor_rollout_ref.actor.fsdp_config.model_dtype", "bf16" if half else "fp32", ("dtype",)),
        Derived("actor_rollout_ref.ref.fsdp_config.param_offload", True, (), "the reference waits outside the GPU"),
    ]
    if model.use_peft:
        targets = model.lora_target_modules or "all-linear"
        if isinstance(targets, list) and len(targets) == 1:
            targets = targets[0]  # one alone may be a regular expression
        derived += [
            Derived("actor_rollout_ref.model.lora_rank", model.lora_r, ("use_peft", "lora_r")),
            Derived("actor_rollout_ref.model.lora_alpha", model.lora_alpha, ("lora_alpha", "lora_dropout")),
            Derived("actor_rollout_ref.model.target_modules", targets, ("lora_target_modules",)),
            Derived("actor_rollout_ref.rollout.load_format", "safetensors", (), "the base weights, once"),
        ]
    return derived


_CKPT = "gradient_checkpointing"


def _derive_course(options: RunOptions, machines: Machines) -> list[Derived]:
    training: Any = options.training
    updates = max(int(training.generation_batch_size) // find_update_batch(training), 1)
    evaluates = options.data.eval_split is not None and str(training.eval_strategy) != "no"
    every = int(training.eval_steps or training.logging_steps) if evaluates else -updates
    names = training.report_to if isinstance(training.report_to, list) else [training.report_to]
    return [
        Derived("trainer.nnodes", machines.nodes, (), "--nodes"),
        Derived("trainer.n_gpus_per_node", machines.gpus_per_node, (), "--gpus-per-node"),
        Derived("trainer.total_epochs", math.ceil(training.num_train_epochs), ("num_train_epochs",)),
        Derived(
            "trainer.total_training_steps",
            -(-training.max_steps // updates) if training.max_steps > 0 else None,
            ("max_steps",),
            f"in rollouts, of {updates} update(s) each",
        ),
        Derived("trainer.save_freq", max(int(training.save_steps) // updates, 1), ("save_steps",), "in rollouts"),
        Derived("trainer.max_actor_ckpt_to_keep", training.save_total_limit, ("save_total_limit",)),
        Derived("trainer.test_freq", every // updates, ("eval_strategy", "eval_steps"), "in rollouts"),
        Derived("trainer.val_before_train", evaluates, ("eval_strategy",)),
        Derived("trainer.logger", ["console", *(name for name in names if name in TRACKERS)], ("report_to",)),
        Derived("trainer.project_name", "vapo"),
        Derived("trainer.experiment_name", Path(str(training.output_dir)).name, ("output_dir",)),
        Derived("data.seed", training.seed, ("seed",)),
    ]


def derive_settings(options: RunOptions) -> LoopSettings:
    """Return the agent loop's settings of a run.

    Raises:
        ConfigError: the algorithm needs what verl cannot give.
    """
    training: Any = options.training
    names = [name for name in LoopSettings.__dataclass_fields__ if getattr(training, name, None) is not None]
    settings = LoopSettings(**{name: getattr(training, name) for name in names})
    idle = find_idle_bonus(training, settings.make_algorithm())
    if idle is not None:
        logging.getLogger(__name__).warning(idle)
    return settings
