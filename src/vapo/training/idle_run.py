"""A run that changed no weight, told when it ends: what its log shows of why."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from transformers import TrainerCallback

ROUNDING = 1e-6
"""Norm of a gradient up to which nothing but rounding is in it."""


class IdleRunWarning(TrainerCallback):
    """Warn at the end of a run whose gradient was 0 in every logged step."""

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        said = explain_idle_run(state.log_history)
        if said is not None and state.is_world_process_zero:
            logging.getLogger(__name__).warning(said)


def explain_idle_run(history: Sequence[Mapping[str, Any]]) -> str | None:
    """Return what to say of a run that learned nothing; None of one that did, or whose log does not tell.

    Args:
        history: logged entries of the run, by name.
    """
    entries = [one for one in history if one.get("grad_norm") is not None]
    if not entries or any(one["grad_norm"] > ROUNDING for one in entries):
        return None
    reasons = [*_list_rewards(entries), *_list_cut_off(entries)]
    same = all(one.get("frac_reward_zero_std") == 1 for one in entries)
    why = (
        "all completions of a prompt earned the same" if same else "no difference between completions reached the loss"
    )
    seen = f" ({'; '.join(reasons)})" if reasons else ""
    return (
        f"the run learned nothing: loss and gradient were 0 in all {len(entries)} logged steps, because {why}{seen}. "
        "The usual reasons: questions that the model always or never answers, a prompt that does not ask for the form "
        "that rewards look for, completions that are cut off, groups that are too small. Read some completions "
        "(log_completions), and see docs/own_model.md, steps 1 and 7"
    )


def _list_rewards(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    reasons: list[str] = []
    for name in entries[0]:
        values = {one.get(name) for one in entries}
        if name.startswith("rewards/") and name.endswith("/mean") and len(values) == 1:
            (value,) = values
            reasons.append(f"{name.split('/')[1]} was {value:.4g} throughout")
    return reasons


def _list_cut_off(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    share = min(one.get("completions/clipped_ratio", 0.0) for one in entries)
    return ["all completions were cut off at max_completion_length"] if share == 1 else []
