"""What the demo does: one table of settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of the demo.

    Attributes:
        steps: training steps of each run.
        questions: held-out questions that each model is diagnosed on.
        data: what both train on.
        training: options of `vapo train`, the same for both runs.
        own: by the run's name, the options in which the two differ.
        num_depths: depths at which claims are asked and responses are cut, a multiple of 4: so many to each quarter.
        claims_per_depth: claims asked at each depth, the same ones at all depths of a response.
        closing: what is written where a response is cut, for the model to answer at once.
        max_answer_tokens: longest answer behind a cut.
        batch_size: questions diagnosed together.
    """

    steps: int
    questions: int
    data: str
    training: Mapping[str, Any]
    own: Mapping[str, Mapping[str, Any]]
    num_depths: int
    claims_per_depth: int
    closing: str
    max_answer_tokens: int
    batch_size: int

    @property
    def group_size(self) -> int:
        """Completions of one question in a training step."""
        return self.training["num_generations"]


STEPS = 40
"""Behind them answers hardly improve, and responses to late questions lose their form."""
MAX_COMPLETION_TOKENS = 176
TRAINING: Mapping[str, str | int | float] = MappingProxyType(
    {
        "preset": "paper",
        "learning_rate": 2e-4,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": 5,
        "freeze_vision": "true",
        "gradient_checkpointing": "false",
        "temperature": 1.0,
        "num_generations": 8,
        "per_device_train_batch_size": 64,
        "logging_steps": 1,
        "save_total_limit": 1,
    }
)
"""Options of `vapo train` that the shipped model learns well with."""

RECIPE = Recipe(
    steps=STEPS,
    questions=200,
    data="lab-early",  # no training question needs a late look
    training=MappingProxyType(
        {
            **TRAINING,
            "preset": "recommended",
            "max_completion_length": MAX_COMPLETION_TOKENS,
            "closed_gate_probe_share": 1.0,  # the learning curves show what is seen along wrong responses, too
            "save_steps": 5,
        }
    ),
    # With no weight, probes are asked and change nothing: GRPO, measured as VAPO is.
    own=MappingProxyType({"GRPO": {"perception_weight": 0.0}, "VAPO": {"perception_weight": 0.5}}),
    num_depths=8,
    claims_per_depth=4,
    closing="</think>",  # the lab's model has learned no sentence about time
    max_answer_tokens=16,
    batch_size=50,
)
"""`preset: recommended` beside GRPO, otherwise as `python -m studies compare` at a share of late questions of 0."""
