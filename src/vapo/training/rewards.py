"""The built-in reward functions, in the form TRL calls them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from vapo.core.answers.choices import read_options
from vapo.core.boundaries import THINK_TAGS
from vapo.core.grading import (
    compare_with_reference,
    extract_answer,
    grade_format,
    take_answer_part,
    take_reference,
)
from vapo.core.math_equality import MAX_CHARACTERS
from vapo.data.columns import ANSWER_COLUMNS, find_answer
from vapo.data.texts import read_text
from vapo.errors import DataError
from vapo.own_code import load_function

NO_ANSWERS = (
    "the built-in accuracy reward has no answers to grade by: there is no column "
    f"{' or '.join(map(repr, ANSWER_COLUMNS))}; give one of these names to the column of reference answers, or pass "
    "reward_funcs of your own"
)


def accuracy_reward(
    completions: Sequence[Any],
    answer: Sequence[str | float] | None = None,
    options: Sequence[object] | None = None,
    log_metric: Callable[[str, float], None] | None = None,
    think_tags: tuple[str, str] = THINK_TAGS,
    **columns: Any,
) -> list[float]:
    r"""Return 1 for each completion whose `\boxed{}` answer matches the reference answer of its row, else 0.

    Args:
        completions: as TRL hands them over.
        answer: the reference answers; None takes them from the column that the rows have in its place.
        options: the texts behind A, B, ... of each row, where the rows have such a column. They are looked for in the
            prompt where it is None, or no list of texts.
        log_metric: takes a name and a value: of each answer in a box, whether no rule could read it
            (`unreadable_answers`).
        think_tags: what opens and what closes the thinking part, behind which the answer stands.
        columns: the other columns of the rows.

    Raises:
        DataError: there is no column of answers, or one cannot be compared with; see `read_reference`.
    """
    name = "answer" if answer is not None else find_answer(columns)
    if name is None:
        raise DataError(NO_ANSWERS)
    answers = columns[name] if answer is None else answer
    references = [read_reference(reference, name) for reference in answers]
    prompts = columns.get("prompts", [""] * len(references))
    given = [None] * len(references) if options is None else options
    choices = [
        _read_texts(own) or read_options(last_user_text(prompt)) for own, prompt in zip(given, prompts, strict=True)
    ]
    texts = [take_answer_part(completion_text(completion), think_tags) for completion in completions]
    boxed = [extract_answer(text) for text in texts]
    compared = [
        None if box is None else compare_with_reference(box, reference, choice)
        for box, reference, choice in zip(boxed, references, choices, strict=True)
    ]
    if log_metric is not None:
        for comparison in compared:
            if comparison is not None:
                log_metric("unreadable_answers", float(not comparison.answer_read))
    return [0.0 if comparison is None else float(comparison.equal) for comparison in compared]


def _read_texts(value: object) -> list[str]:
    texts = cast("Sequence[object]", value) if isinstance(value, list | tuple) else ()
    return [text for text in texts if isinstance(text, str)] if all(isinstance(t, str) for t in texts) else []


def read_reference(value: object, column: str) -> str:
    """Read a reference answer that completions can be compared with.

    Args:
        value: what the row holds.
        column: its name, for the message.

    Raises:
        DataError: it is null, empty or no text; or it is long, and does not say which part of it is the answer.
    """
    text = read_text(value, column, numbers=True)
    length = len(take_reference(text))
    if length > MAX_CHARACTERS:
        raise DataError(
            f"{column} has {length} characters, and the built-in accuracy reward compares short answers: put the "
            r"final answer into \boxed{}, or give it a column of its own"
        )
    return text


def format_reward(
    completions: Sequence[Any], think_tags: tuple[str, str] = THINK_TAGS, think_opened: bool = False, **_: Any
) -> list[float]:
    r"""Return 1 for each completion of the form `<think>...</think> ... \boxed{...}`, else 0.

    Args:
        completions: as TRL hands them over.
        think_tags: what opens and what closes the thinking part.
        think_opened: whether the chat template opens it in the prompt itself.
    """
    return [grade_format(completion_text(c), think_opened=think_opened, tags=think_tags) for c in completions]


def completion_text(completion: Any) -> str:
    """Return the text of a completion as TRL hands it over: a string, or a list of messages."""
    if isinstance(completion, str):
        return completion
    content = completion[-1].get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def last_user_text(prompt: Any) -> str:
    """Return the text of a prompt, or of its last message by the user."""
    if isinstance(prompt, str):
        return prompt
    return next((message_text(message) for message in reversed(prompt) if message["role"] == "user"), "")


def message_text(message: Mapping[str, Any]) -> str:
    """Return the text of a message, or of its parts, each on a line."""
    content = message["content"]
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part.get("type") == "text")


def choose_rewards(args: Any) -> list[Callable[..., Any]]:
    """Return the reward functions that options name, or else the built-in ones, to which their weights are set.

    Args:
        args: the options.

    Raises:
        ConfigError: there is no such function.
    """
    if args.reward_funcs:
        return load_rewards(args.reward_funcs)
    args.reward_weights = args.reward_weights or [args.accuracy_weight, args.format_weight]
    return [accuracy_reward, format_reward]


def load_rewards(names: Sequence[str]) -> list[Callable[..., Any]]:
    """Return reward functions by name: the built-in ones, and others by the file or module that they are in.

    Raises:
        ConfigError: there is no such function.
    """
    built_in = {reward.__name__: reward for reward in (accuracy_reward, format_reward)}
    example = "my_rewards:iou"
    return [built_in.get(one) or load_function(one, what="reward function", example=example) for one in names]
