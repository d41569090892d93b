"""What of a run's options decides what it needs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vapo.errors import ConfigError

QUESTION_TOKENS = 24
"""Tokens of a probe's question: the template's, and a claim of a dozen words."""


@dataclass(frozen=True, slots=True)
class RunShape:
    """The sizes of a run. Tokens are those of the longest prompt and the longest completion.

    Attributes:
        num_processes: that train, each on a GPU of its own.
        sharding: "single_gpu", "multi_gpu", "zero2", "zero3" or "fsdp2"; see `vapo train --accelerate_config`.
        prompt_tokens: with those of images.
        image_tokens: of these, those of images.
        completion_tokens: of a completion.
        group: completions of a prompt.
        rollout: completions of a rollout, over all processes.
        update: completions of an update, likewise.
        at_once: completions of a process in one pass.
        updates_per_completion: TRL's num_iterations.
        packed: whether completions of a prompt share a pass with it.
        probes: asked about each completion; 0 without the method.
        scores_rollouts: whether the policy's probabilities at the time of the rollout are computed.
        reference: whether there is a KL penalty.
        adapters: whether its reference is the model without them, and its weights stay.
        bits: of weights that stay.
        bfloat16: whether it is what is computed in.
        checkpointing: whether activations are computed twice.
        vision_frozen: whether the language model alone is trained.
        optimizer_bytes: that the optimizer keeps for a parameter in float32; 8 for Adam.
        engine_share: of a GPU's memory, which vLLM takes where it is colocated; 0 elsewhere.
        engine_sleeps: whether it gives this back between rollouts.
        engine_ranks: GPUs that share an engine.
        policy_samples: whether the policy itself makes the rollouts.
    """

    num_processes: int
    sharding: str
    prompt_tokens: int
    image_tokens: int
    completion_tokens: int
    group: int
    rollout: int
    update: int
    at_once: int
    updates_per_completion: int = 1
    packed: bool = True
    probes: int = 20
    scores_rollouts: bool = True
    reference: bool = True
    adapters: bool = False
    bits: int = 16
    bfloat16: bool = True
    checkpointing: bool = True
    vision_frozen: bool = False
    optimizer_bytes: int = 8
    engine_share: float = 0.0
    engine_sleeps: bool = False
    engine_ranks: int = 1
    policy_samples: bool = False

    def __post_init__(self) -> None:
        if self.image_tokens > self.prompt_tokens:
            raise ConfigError(
                f"{self.image_tokens} tokens of images do not go into a prompt of {self.prompt_tokens}; lower "
                "--image-tokens or raise --prompt-tokens"
            )
        at_once = self.at_once * self.num_processes
        for name, size in (("update_batch_size", self.update), ("generation_batch_size", self.rollout)):
            if size % at_once:
                raise ConfigError(
                    f"{name}={size} is no multiple of the {at_once} completions that are computed at once "
                    f"(per_device_train_batch_size={self.at_once} on {self.num_processes} GPUs); change one of them"
                )

    @property
    def prompts_at_once(self) -> int:
        """Different prompts in one pass, if groups are kept together."""
        return math.ceil(self.at_once / self.group)

    @property
    def pass_tokens(self) -> int:
        """Tokens of one training pass: each prompt once where it is packed, and else once a completion."""
        prompts = self.prompts_at_once if self.packed else self.at_once
        return prompts * self.prompt_tokens + self.at_once * self.completion_tokens

    @property
    def divides_weights(self) -> bool:
        """Whether a process holds a share of the weights alone."""
        return self.sharding in ("fsdp2", "zero3")

    @property
    def divides_optimizer(self) -> bool:
        """Whether a process holds a share of gradients and optimizer alone."""
        return self.sharding in ("fsdp2", "zero2", "zero3")
