"""What a completion earns in all: accuracy, format, and perception behind the accuracy gate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal, get_args

from vapo.types import Reward

Gate = Literal["strict", "relaxed", "graded", "none"]


def compose_reward(
    accuracy: float,
    format: float,
    perception: float | None,
    *,
    accuracy_weight: float = 1.0,
    format_weight: float = 1.0,
    perception_weight: float = 0.1,
    gate: Gate = "strict",
    gate_threshold: float = 1.0,
    relaxed: float = 0.0,
) -> Reward:
    """Add up the rewards of one completion.

    total = accuracy_weight * accuracy + format_weight * format + perception_weight * g * perception, where g is
    `gate_weight`.

    Args:
        accuracy: grade of the answer, in [0, 1].
        format: grade of the form, in [0, 1].
        perception: perception reward, in [0, 1]; None if nothing was probed, which earns nothing.
        accuracy_weight: at least 0.
        format_weight: at least 0.
        perception_weight: gamma of the paper, at least 0.
        gate: what a wrong answer keeps of its perception reward.
        gate_threshold: the least accuracy of a right answer, in (0, 1].
        relaxed: with "relaxed", the part of it that is kept, in [0, 1]; see `relaxed_gate_weight`.

    Raises:
        ValueError: a value is out of its range or the gate is unknown.

    Source: arXiv 2509.25848, Section 4, Eq. 5; the relaxed gate is one of the paper's ablations.
    """
    grades = {"accuracy": accuracy, "format": format, "relaxed": relaxed}
    for name, value in (grades if perception is None else {**grades, "perception": perception}).items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value}; it must be in [0, 1]")
    if not 0 < gate_threshold <= 1:
        raise ValueError(f"gate_threshold is {gate_threshold}; it must be above 0 and at most 1")
    weights = {"accuracy": accuracy_weight, "format": format_weight, "perception": perception_weight}
    for name, value in weights.items():
        if not 0 <= value < float("inf"):
            raise ValueError(f"{name}_weight is {value}; it must be a finite number, 0 or more")
    if gate not in get_args(Gate):
        raise ValueError(f"gate {gate!r} is unknown; choose one of {', '.join(get_args(Gate))}")
    bonus = 0.0
    if perception is not None:
        bonus = perception_weight * gate_weight(gate, accuracy, relaxed, gate_threshold) * perception
    total = accuracy_weight * accuracy + format_weight * format + bonus
    return Reward(accuracy=accuracy, format=format, perception=perception, bonus=bonus, total=total)


def gate_weight(gate: Gate, accuracy: float, relaxed: float, threshold: float = 1.0) -> float:
    """Return the part of its perception reward that a completion gets, in [0, 1].

    All of it for a right answer (accuracy >= threshold); for any other nothing ("strict"), `relaxed` of it
    ("relaxed"), `accuracy` of it ("graded") or all ("none").
    """
    if accuracy >= threshold:
        return 1.0
    return {"strict": 0.0, "relaxed": relaxed, "graded": accuracy, "none": 1.0}[gate]


def relaxed_gate_weight(progress: float) -> float:
    """Close the relaxed gate in step with the training: openness = 1 - progress.

    A wrong answer keeps all of its perception reward before the first step and none at the last. The paper names a
    relaxed gate without its schedule; the straight line is this library's choice.

    Args:
        progress: finished part of the training, in [0, 1].

    Raises:
        ValueError: progress is outside [0, 1].
    """
    if not 0 <= progress <= 1:
        raise ValueError(f"progress is {progress}; it must be in [0, 1], finished steps over all steps")
    return 1.0 - progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A named reading of the method: the arithmetic of the reward, and the trainer's settings that go with it."""

    accuracy_weight: float
    format_weight: float
    perception_weight: float
    late_emphasis: float
    rescale_perception: bool
    gate: Gate
    claim_draws: Literal["balanced", "uniform"]
    perception_credit: Literal["reward", "advantage"] = "reward"
    num_anchors: int = 20
    anchor_sharing: Literal["independent", "group"] = "independent"
    verdict: Literal["hard", "soft"] = "hard"
    kl_weight: float
    """Weight of the KL penalty towards the reference model (`beta` of TRL's GRPOConfig)."""
    clip_low: float
    """The probability ratio is clipped to [1 - clip_low, 1 + clip_high]."""
    clip_high: float
    loss: Literal["grpo", "dapo"]
    """How token losses are averaged: over each completion, then over completions; or over all tokens of the batch."""
    group_filter: Literal["none", "accuracy", "reward"]
    """Groups in which this is the same for all completions are replaced (`dynamic_sampling`)."""


# arXiv 2509.25848, Sections 4 and 5: GRPO with Eq. 4 and Eq. 5 as they are printed.
_PAPER: Final = Preset(
    accuracy_weight=1.0,
    format_weight=1.0,
    perception_weight=0.1,
    late_emphasis=1.5,
    rescale_perception=False,
    gate="strict",
    claim_draws="uniform",
    kl_weight=1e-2,
    clip_low=0.2,
    clip_high=0.2,
    loss="grpo",
    group_filter="none",
)

PRESETS: Final = MappingProxyType(
    {
        "paper": _PAPER,
        # The published code at 67687cf: a DAPO-style run on mixed, rescaled rewards, its faults fixed. Its filter goes
        # by the whole reward, which keeps all-right groups alive: what perception says acts through these alone.
        "released": Preset(
            accuracy_weight=0.8,
            format_weight=0.1,
            perception_weight=0.1,
            late_emphasis=1.5,
            rescale_perception=True,
            gate="strict",
            claim_draws="uniform",
            kl_weight=0.0,
            clip_low=0.2,
            clip_high=0.28,
            loss="dapo",
            group_filter="reward",
        ),
        # The paper's run with perception in a part of the advantage of its own, and with less noise in it: what led
        # GRPO in late answers in the lab, docs/evidence.md.
        "recommended": replace(
            _PAPER,
            perception_weight=0.5,
            claim_draws="balanced",
            perception_credit="advantage",
            num_anchors=8,
            anchor_sharing="group",
            verdict="soft",
        ),
    }
)
"""Two readings of the method, and what led GRPO in the lab, by name."""
