"""How large a comparison is: which lab it trains in, for how long, and on how much it is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vapo.lab.demo.recipe import MAX_COMPLETION_TOKENS, STEPS, TRAINING

if TYPE_CHECKING:
    from studies.cold_start.sizes import Size


@dataclass(frozen=True, slots=True)
class Scale:
    """What all arms have in common.

    Attributes:
        steps: of training.
        max_completion_tokens: longest completion, in training and measuring.
        options: of `vapo train`.
        num_questions: held-out questions measured.
        num_anchors: probes per measured response.
    """

    steps: int
    max_completion_tokens: int
    options: Mapping[str, str | int | float]
    num_questions: int = 500
    num_anchors: int = 16


_COMMON: Mapping[str, str | int | float] = {
    **TRAINING,
    "closed_gate_probe_share": 0.0,  # wrong answers' probes change nothing
    "log_completions": "true",  # answers by kind of question and step are counted from these tables
    "num_completions_to_print": 0,
}

SCALES: Mapping[Size, Scale] = {
    "small": Scale(
        steps=STEPS,
        max_completion_tokens=MAX_COMPLETION_TOKENS,
        options={**_COMMON, "save_steps": 20},
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
"""small: the shipped checkpoint, on two CPU cores. large: tens of millions of parameters and responses of several
hundred tokens, on one GPU."""
