"""What a run computes in a step, in tokens and passes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vapo.planning.run_shape import QUESTION_TOKENS, RunShape


@dataclass(frozen=True, slots=True)
class Work:
    """One update's share of all work, over all processes, with prompts and completions at their longest.

    Attributes:
        sampled_tokens: that are generated.
        row_tokens: of rows, prompts once for each completion: what TRL logs as `num_tokens`.
        trained_tokens: that go through the model forward and backward.
        scored_tokens: that go through it, or through the reference, forward only.
        probes: that are asked.
        passes: of each process, forward alone or with backward.
    """

    sampled_tokens: float
    row_tokens: float
    trained_tokens: float
    scored_tokens: float
    probes: float
    passes: float


def count_work(shape: RunShape) -> Work:
    """Return what one update of a run takes."""
    rows = shape.update / shape.updates_per_completion  # new completions for each update
    trees = shape.update / shape.at_once
    once = rows / shape.at_once
    tokens = shape.pass_tokens
    asked = rows * shape.probes
    # Probes are asked in the pass that scores the rollouts, if there is one and it is packed.
    scored = once * tokens * (shape.scores_rollouts + shape.reference) + asked * QUESTION_TOKENS
    passes = trees + once * (shape.scores_rollouts + shape.reference)
    if asked and not (shape.scores_rollouts and shape.packed):
        scored += once * tokens
        passes += once
    return Work(
        sampled_tokens=rows * shape.completion_tokens,
        row_tokens=rows * (shape.prompt_tokens + shape.completion_tokens),
        trained_tokens=trees * tokens,
        scored_tokens=scored,
        probes=asked,
        passes=passes / shape.num_processes,
    )


def count_steps(shape: RunShape, num_rows: int, epochs: float) -> int:
    """Return how many updates a run makes.

    Args:
        shape: of the run.
        num_rows: of the data.
        epochs: how often each is used.
    """
    rollouts = num_rows // (shape.rollout // shape.group)  # what does not fill a rollout is left out
    return math.ceil(epochs * rollouts * shape.rollout / shape.update * shape.updates_per_completion)
