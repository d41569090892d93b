"""How large a comparison is: which lab it trains in, for how long, and on how much it is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vapo.lab.sizes import Size


@dataclass(frozen=True, slots=True)
class Scale:
    """What all arms have in common.

    Attributes:
        steps: of training.
        max_completion_tokens: longest completion, in training and measuring.
        options: of `vapo train`.
        num_questions: held-out questions measured.
        num_anchors: probes per measured chain.
    """

    steps: int
    max_completion_tokens: int
    options: Mapping[str, str | int | float]
    num_questions: int = 300
    num_anchors: int = 16


_COMMON: dict[str, str | int | float] = {
    "preset": "paper",
    "lr_scheduler_type": "constant_with_warmup",
    "warmup_steps": 5,
    "freeze_vision": "true",
    "gradient_checkpointing": "false",
    "temperature": 1.0,
    "num_generations": 8,
    "silent_share": 0.0,  # wrong answers' probes would change nothing
    "logging_steps": 1,
    "save_total_limit": 1,
}

SCALES: Mapping[Size, Scale] = {
    "small": Scale(
        steps=60,
        max_completion_tokens=176,
        options={**_COMMON, "learning_rate": 2e-4, "per_device_train_batch_size": 64, "save_steps": 20},
    ),
    "large": Scale(
        steps=300,
        max_completion_tokens=640,
        options={
            **_COMMON,
            "learning_rate": 2e-5,
            "per_device_train_batch_size": 64,
            "gradient_accumulation_steps": 4,
            "bf16": "true",
            "save_steps": 10,
        },
        num_questions=1000,
    ),
}
"""small: the shipped checkpoint, on two CPU cores. large: tens of millions of parameters and chains of several hundred
tokens, on one GPU."""
