"""The built-in reward functions, in the form TRL calls them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vapo.core.grading import grade_answer, grade_format


def accuracy_reward(completions: Sequence[Any], answer: Sequence[str], **_: Any) -> list[float]:
    r"""Return 1 for each completion whose `\boxed{}` answer matches the column `answer`, else 0."""
    return [grade_answer(completion_text(c), str(a)) for c, a in zip(completions, answer, strict=True)]


def format_reward(completions: Sequence[Any], **_: Any) -> list[float]:
    r"""Return 1 for each completion of the form `<think>...</think> ... \boxed{...}`, else 0."""
    return [grade_format(completion_text(c)) for c in completions]


def opened_format_reward(completions: Sequence[Any], **_: Any) -> list[float]:
    """Return the format reward for chat templates that open `<think>` in the prompt itself."""
    return [grade_format(completion_text(c), think_opened=True) for c in completions]


def completion_text(completion: Any) -> str:
    """Return the text of a completion as TRL hands it over: a string, or a list of messages."""
    if isinstance(completion, str):
        return completion
    content = completion[-1].get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)
