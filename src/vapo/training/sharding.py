"""FSDP as a vision-language policy needs it: what TRL 1.16 and accelerate 1.15 do to its weights, fixed."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import fsdp2_prepare_model, fsdp_utils
from trl.trainer import grpo_trainer

from vapo.errors import ConfigError
from vapo.models.replaced_method import replaced_method


@contextmanager
def reference_sharded_like_policy() -> Generator[None]:
    """Make TRL shard the reference model as accelerate shards the policy.

    With `fsdp_cpu_ram_efficient_loading` only the first process reads weights. accelerate sends those of the policy to
    the others; TRL 1.16 shards the reference model without: all but the first shard of it are memory as it was found,
    and the KL penalty pulls towards noise. It also shards the reference in one piece, so that all of it is gathered at
    once where the policy is gathered layer by layer.
    """
    prepare = grpo_trainer.prepare_fsdp

    def prepare_reference(model: Any, accelerator: Accelerator) -> Any:
        plugin: Any = accelerator.state.fsdp_plugin
        if plugin.fsdp_version != 2:
            return prepare(model, accelerator)
        name_layers_to_shard(plugin, model)
        return fsdp2_prepare_model(accelerator, model).eval()

    with replaced_method(grpo_trainer, "prepare_fsdp", prepare_reference):
        yield


def name_layers_to_shard(plugin: Any, model: torch.nn.Module) -> None:
    """Tell accelerate which layers of `model` are sharded one by one, unless the user has.

    A family of transformers names all layers that it can have, optional ones of a vision tower among them, and
    accelerate 1.15 refuses a model that lacks one (SigLIP without its pooling head, for example).

    Args:
        plugin: accelerate's FullyShardedDataParallelPlugin.
        model: which is to be sharded.
    """
    if plugin.transformer_cls_names_to_wrap is None:
        there = {type(module).__name__ for module in model.modules()}
        plugin.transformer_cls_names_to_wrap = sorted(there & set(getattr(model, "_no_split_modules", None) or ()))


@contextmanager
def optimizer_without_idle_weights() -> Generator[None]:
    """Let FSDP2 read a checkpoint whose optimizer knows nothing of weights that never had a gradient.

    There are some in vision towers whose last layers a family does not use (LLaVA), and in all of a tower that has not
    seen an image yet. Nothing is saved of them, and torch refuses to load what was saved.
    """
    prepare = fsdp_utils._prepare_sd_options

    def prepare_lenient(plugin: Any) -> Any:
        options = prepare(plugin)
        return options if options is None else replace(options, strict=False)

    with replaced_method(fsdp_utils, "_prepare_sd_options", prepare_lenient):
        yield


def check_same_sharding(checkpoint: Path, args: Any) -> None:
    """Refuse, before a model is loaded, a checkpoint whose optimizer only another kind of sharding can read.

    Args:
        checkpoint: of a run that is to go on.
        args: of the run, as it is to go on.

    Raises:
        ConfigError: the two differ.
    """
    before, now = _sharding_of(checkpoint), _sharding_in(args)
    if before != now:
        raise ConfigError(
            f"{checkpoint} was written {before} and would be read {now}, where its optimizer cannot be used; go on "
            f"{before} (--accelerate_config), or begin a run with its weights: --model_name_or_path {checkpoint} and "
            "another --output_dir"
        )


def _sharding_of(checkpoint: Path) -> str:
    if any(checkpoint.glob("pytorch_model_fsdp*")):
        return "with FSDP"
    return "with DeepSpeed" if any(checkpoint.glob("global_step*")) else "without FSDP and DeepSpeed"


def _sharding_in(args: Any) -> str:
    if args.fsdp or os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true":
        return "with FSDP"
    deepspeed = args.deepspeed or os.environ.get("ACCELERATE_USE_DEEPSPEED", "").lower() == "true"
    return "with DeepSpeed" if deepspeed else "without FSDP and DeepSpeed"
