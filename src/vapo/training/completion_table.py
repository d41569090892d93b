"""The table of completions in the terminal: short enough to be read, beside the file that holds all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from trl import GRPOTrainer
from trl.trainer import grpo_trainer
from trl.trainer.utils import print_prompt_completions_sample

from vapo.core.control_characters import show_controls
from vapo.models.replaced_method import replaced_method
from vapo.probing.perception_log import ANCHORS
from vapo.training.rewards import completion_text, last_user_text

MOST_COMPLETIONS = 8
"""Completions that are shown where `num_completions_to_print` says nothing."""

_MOST_CHARACTERS = 400


class PrintsCompletions(GRPOTrainer):
    """Prints completions, with `log_completions`, as a table that can be read; TRL's file of them stays as it is."""

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        with replaced_method(grpo_trainer, "print_prompt_completions_sample", print_completions):
            super().log(logs, start_time)


def print_completions(
    prompts: Sequence[Any],
    completions: Sequence[Any],
    rewards: Mapping[str, Sequence[float]],
    advantages: Sequence[float] | None,
    step: int,
    num_samples: int | None = None,
    extra: Mapping[str, Sequence[Any]] | None = None,
) -> None:
    """Print what TRL's function of these arguments prints: texts cut in their middle, verdicts counted.

    Without `num_samples`, the first `MOST_COMPLETIONS` are shown.
    """
    shown = slice(MOST_COMPLETIONS if num_samples is None else None)
    columns = {
        _name(name): [_describe(name, one) for one in list(values)[shown]] for name, values in (extra or {}).items()
    }
    print_prompt_completions_sample(
        [_shorten(last_user_text(prompt)) for prompt in list(prompts)[shown]],
        [_shorten(completion_text(completion)) for completion in list(completions)[shown]],
        {name: list(values)[shown] for name, values in rewards.items()},  # pyright: ignore[reportArgumentType]
        None if advantages is None else list(advantages)[shown],
        step,
        num_samples,  # pyright: ignore[reportArgumentType]
        extra=columns,
    )
    if num_samples is None and len(prompts) > MOST_COMPLETIONS:
        print(f"{MOST_COMPLETIONS} of {len(prompts)} completions; all, with their anchors, are in completions/")


def _name(column: str) -> str:
    return "claims right" if column == ANCHORS else column


def _describe(column: str, value: Any) -> Any:
    if column != ANCHORS or not isinstance(value, str):
        return value
    verdicts = json.loads(value)
    return f"{sum(verdict['correct'] for verdict in verdicts)} of {len(verdicts)}"


def _shorten(text: str) -> str:
    text = show_controls(" ".join(text.split()))
    half = _MOST_CHARACTERS // 2
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:half]} ... {text[-half:]}"
