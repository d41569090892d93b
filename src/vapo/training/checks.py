"""What a run on TRL cannot be given, said before its first step."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import Any

from transformers import ProcessorMixin

from vapo.algorithms.algorithm import Algorithm, Needs
from vapo.errors import ConfigError, DataError, ModelError
from vapo.models.policy.checkpoint import adopt_chat_template
from vapo.training.config import VAPOConfig


def check_arguments(args: Any, train_dataset: Any, *, environments: bool = False) -> None:
    """Refuse what cannot be trained on.

    Args:
        args: should be a `VAPOConfig`.
        train_dataset: should be there.
        environments: whether environments of TRL's may own the data, so that there need be no data set.

    Raises:
        ConfigError: an option cannot be had.
        DataError: there is nothing to train on.
    """
    if not isinstance(args, VAPOConfig):
        raise ConfigError(f"args is a {type(args).__name__}; pass a vapo.VAPOConfig, which takes the same options")
    if train_dataset is None and environments:
        return
    if train_dataset is None:
        raise DataError("train_dataset is missing; pass a datasets.Dataset with prompts, images and claims")
    _check_one_rollout(args, train_dataset)


def check_needs(args: VAPOConfig, given: Mapping[str, Any], needs: Needs) -> None:
    """Refuse what an algorithm or dynamic sampling needs and a run cannot give, such as single turns.

    Args:
        args: of the run.
        given: what the trainer was given, by TRL's names.
        needs: of the algorithm.

    Raises:
        ConfigError: it names what cannot be had.
    """
    if needs.image_attention is not None and args.torch_compile:
        raise ConfigError(
            "the algorithm needs attention on the image, which cannot be measured in a compiled model; set "
            "torch_compile=False"
        )
    several_turns = [name for name in ("tools", "environment_factory", "rollout_func") if given.get(name)]
    if not several_turns:
        return
    if needs.claims:
        raise ConfigError(
            f"{several_turns[0]} cannot be combined with probes, which need TRL's own single-turn rollouts; leave it "
            "out, or set algorithm='grpo'"
        )
    if needs.second_view is not None or needs.sampled_images:
        raise ConfigError(
            f"{several_turns[0]} cannot be combined with an algorithm that puts other images in the place of a "
            "prompt's, which needs TRL's own single-turn rollouts; leave it out"
        )
    if args.dynamic_sampling != "none":
        raise ConfigError(
            f"{several_turns[0]} cannot be combined with dynamic_sampling, which needs TRL's own single-turn "
            "rollouts; set dynamic_sampling='none'"
        )


def find_idle_bonus(args: VAPOConfig, algorithm: Algorithm) -> str | None:
    """Return what to warn of where an option leaves next to nothing of the algorithm's bonus; None where none does.

    A bonus that only right answers get differs by little within a group. Where all answers of the group are right,
    the division by the group's standard deviation brings these differences to full size; elsewhere the answers
    outweigh them. Without such groups, or without that division, the run hardly differs from GRPO.

    Args:
        args: of the run.
        algorithm: with or without a bonus.
    """
    if not algorithm.needs.bonus or algorithm.uses_verdicts(0.0, 0.0):
        return None
    idle = [
        said
        for said, holds in (
            ("dynamic_sampling='accuracy' replaces these groups", args.dynamic_sampling == "accuracy"),
            (f"scale_rewards={args.scale_rewards!r} does not divide by it", args.scale_rewards != "group"),
            (
                "multi_objective_aggregation='normalize_then_sum' normalises the bonus where answers differ",
                args.multi_objective_aggregation == "normalize_then_sum",
            ),
        )
        if holds
    ]
    if not idle:
        return None
    return (
        "only right answers get the perception reward, so it acts through groups whose answers are all right, where "
        f"the group's standard deviation divides its small differences; but {', and '.join(idle)}. The run will "
        "hardly differ from GRPO. Leave these options at their defaults (dynamic_sampling='reward' keeps the groups), "
        "or set perception_credit='advantage', which verl does not have. The metric advantage/perception_share shows "
        "it, and docs/mechanism.md explains it"
    )


def _check_one_rollout(args: VAPOConfig, train_dataset: Any) -> None:
    # TRL leaves out the last rows of an epoch that do not fill a rollout; if those are all, it trains on nothing.
    assert args.generation_batch_size is not None and args.num_generations is not None
    num_prompts = args.generation_batch_size // args.num_generations
    if isinstance(train_dataset, Sized) and 0 < len(train_dataset) < num_prompts:
        raise DataError(
            f"the data set has {len(train_dataset)} row(s), but one rollout takes {num_prompts} prompts "
            f"(generation_batch_size={args.generation_batch_size} / num_generations={args.num_generations}), so not "
            "a single step could be made; lower generation_batch_size, or use more rows"
        )


def check_processor(processor: Any) -> None:
    """Refuse a processor that shows no images or renders no conversations; a template of its tokenizer's becomes its.

    Args:
        processor: of the policy.

    Raises:
        ModelError: it is a tokenizer, or there is no chat template.
    """
    name = type(processor).__name__
    if not isinstance(processor, ProcessorMixin):
        raise ModelError(
            f"{name} is a tokenizer, so the model cannot see; VAPO trains vision-language models, whose AutoProcessor "
            "handles images"
        )
    adopt_chat_template(processor, f"this {name}")
