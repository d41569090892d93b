"""The sizes a lab comes in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .model import ModelSize
from .plan import REASONING, SEEING, Course, Plan

Size = Literal["small", "large"]


@dataclass(frozen=True, slots=True)
class LabSize:
    """A model, and the cold start that teaches it."""

    model: ModelSize
    plan: Plan


SIZES: Mapping[Size, LabSize] = {
    "small": LabSize(ModelSize(), Plan()),
    "large": LabSize(
        ModelSize(
            canvas=96,
            vision_width=192,
            vision_layers=4,
            text_width=640,
            text_mlp=1760,
            text_layers=8,
            heads=8,
            sliding_window=144,
        ),
        Plan(
            vision_steps=3000,
            courses=(Course(9000, 5e-4, SEEING, warmup_steps=200), Course(3000, 3e-4, REASONING, warmup_steps=200)),
            grids=((4, 4), (4, 5), (5, 4)),
            writing=None,
        ),
    ),
}
"""small: the shipped one, made on a CPU. large: 42 million parameters, for a GPU; notes of up to twenty cells make
responses of about three hundred tokens, and its window is as much longer."""
