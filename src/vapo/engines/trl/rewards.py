"""The built-in reward functions, in the form TRL calls them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vapo.core.grading import grade_answer, grade_format
from vapo.data.columns import ANSWER_COLUMNS, find_answer
from vapo.data.texts import read_text
from vapo.errors import DataError

NO_ANSWERS = (
    "the built-in accuracy reward has no answers to grade by: there is no column "
    f"{' or '.join(map(repr, ANSWER_COLUMNS))}; give one of these names to the column of reference answers, or pass "
    "reward_funcs of your own"
)


def accuracy_reward(
    completions: Sequence[Any], answer: Sequence[str | float] | None = None, **columns: Any
) -> list[float]:
    r"""Return 1 for each completion whose `\boxed{}` answer matches the reference answer of its row, else 0.

    Args:
        completions: as TRL hands them over.
        answer: the reference answers; None takes them from the column that the rows have in its place.
        columns: the other columns of the rows.

    Raises:
        DataError: there is no column of answers, or an answer is null or no text.
    """
    name = "answer" if answer is not None else find_answer(columns)
    if name is None:
        raise DataError(NO_ANSWERS)
    answers = columns[name] if answer is None else answer
    references = [read_text(reference, name, numbers=True) for reference in answers]
    return [grade_answer(completion_text(c), r) for c, r in zip(completions, references, strict=True)]


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
