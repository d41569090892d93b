"""A run up to its first update: one small rollout of its own trainer, compared with plain passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from vapo.data.samples import Samples
from vapo.models.policy.checkpoint import Policy
from vapo.models.replaced_method import replaced_method
from vapo.models.think_tags import opens_thinking
from vapo.probing.prober import Prober
from vapo.training.cached_rows import make_training_rows
from vapo.training.options import RunOptions
from vapo.training.preparation import setting_up
from vapo.training.rollout_batch import RolloutBatch
from vapo.training.trainer import VAPOTrainer
from vapo.types import Rollout, Verdict

ALONE: dict[str, Any] = {
    "generation_batch_size": None,
    "steps_per_generation": None,
    "update_batch_size": None,
    "gradient_accumulation_steps": 1,
    "num_generations_eval": None,
    "max_steps": 1,
    "use_vllm": False,
    "probe_backend": "auto",
    "beta": 0.0,
    "dynamic_sampling": "none",
    "own_claims_steps": 0,
    "report_to": "none",
    "eval_strategy": "no",
    "save_strategy": "no",
    "gradient_checkpointing": False,
    "torch_compile": False,
    "deepspeed": None,
    "fsdp": None,
    "fsdp_config": None,
    "model_init_kwargs": None,
    "log_completions": False,
}
"""Options of a trial in place of the run's: one process, no engine, no reference model, nothing written."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a rollout gave.

    Attributes:
        rollouts: the completions; those of a prompt follow each other.
        verdicts: of each, on the probes along it.
        prober: asks the policy; None where the run asks nothing.
        think_opened: whether the prompt itself opens the thinking.
    """

    rollouts: Sequence[Rollout]
    verdicts: Sequence[Sequence[Verdict]]
    prober: Prober | None
    think_opened: bool


def try_run(
    options: RunOptions,
    policy: Policy,
    samples: Samples,
    *,
    num_prompts: int,
    max_completion_tokens: int,
    folder: Path,
) -> Trial:
    """Roll out some prompts as a run would, and compare what it would train on with plain passes.

    Args:
        options: of the run.
        policy: its model, without adapters, which begin as nothing.
        samples: its data.
        num_prompts: how many, evenly spread over the samples; each is answered as often as in the run.
        max_completion_tokens: longest completion, if the run's own are not shorter.
        folder: for what a trainer writes.

    Raises:
        ConfigError: the trainer cannot be made, or does not go as far.
        DataError, ModelError: what a run would stop at; numbers that are not those of plain passes among it.
    """
    training: Any = options.training
    group, count = int(training.num_generations), min(num_prompts, len(samples))
    on_cpu = policy.model.device.type == "cpu"
    own = {
        "output_dir": str(folder),
        "per_device_train_batch_size": group * count,
        "max_completion_length": min(training.max_completion_length, max_completion_tokens),
        "use_cpu": on_cpu,
        "bf16": training.bf16 and not on_cpu,
    }
    rows = make_training_rows(samples, system_prompt=options.data.system_prompt)
    chosen = [number * len(samples) // count for number in range(count)]
    batches: list[RolloutBatch] = []
    with setting_up():
        trainer: Any = VAPOTrainer(
            policy.model,
            args=replace(training, **ALONE, **own),
            train_dataset=rows,
            processing_class=policy.processor,
            algorithm=training.make_algorithm(),
        )
        begin = trainer._begin_batch

        def keep(given: list[dict[str, Any]]) -> RolloutBatch:
            batches.append(begin(given))
            return batches[-1]

        trainer.model.train()
        with replaced_method(trainer, "_begin_batch", keep), torch.no_grad():
            output = trainer._generate_and_score_completions([rows[n] for n in chosen for _ in range(group)])
            trainer._plain_check.check_update(trainer.model, output)
        trainer.model.eval()
    (batch,) = batches
    first, *_ = rollouts = batch.rollouts
    opened = opens_thinking(policy.processor.tokenizer, first.prompt_ids, first.think_tags)
    return Trial(rollouts, batch.verdicts or [()] * len(rollouts), trainer.prober, opened)
