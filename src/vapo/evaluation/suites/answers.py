"""Graded answers of a suite on disk: ours, and those that lmms-eval logs for the suites' tasks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from vapo.atomic_files import write_atomically
from vapo.errors import DataError

ANSWERS = "answers.jsonl"
RULE = "rule"
_LOGGED = "*_samples_vapo_*.jsonl"  # what `lmms_eval --log_samples` writes


@dataclass(frozen=True, slots=True)
class Answer:
    """One question of a benchmark, answered and graded.

    Attributes:
        benchmark: its name.
        row: the question's place in the data, from 0.
        id: the question's own name.
        question: its text.
        score: in [0, 1].
        is_parsed: whether the response held an answer of the kind asked for.
        answer: what stood in its box.
        reference: the right answer.
        attributes: see `vapo.evaluation.suites.benchmark.Question`.
        response: all that the model wrote.
        num_tokens: its length; None where the engine did not say.
        grader: `rule`, or the name of the judge that gave the score.
        completion: 0 for the greedy response, 1, 2, ... for sampled ones.
    """

    benchmark: str
    row: int
    id: str
    question: str
    score: float
    is_parsed: bool
    answer: str | None
    reference: str
    response: str
    num_tokens: int | None = None
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    grader: str = RULE
    completion: int = 0


@dataclass(frozen=True, slots=True)
class Response:
    """What a model wrote to one question, before it is graded.

    Attributes:
        task: the harness's name of the benchmark.
        row: the question's place in the data, from 0.
        digest: of the question's text, and of how the response was drawn if it was sampled.
        text: all that was written.
        num_tokens: its length.
        completion: 0 for the greedy response, 1, 2, ... for sampled ones.
    """

    task: str
    row: int
    digest: str
    text: str
    num_tokens: int
    completion: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Response:
        """Return what `to_json` wrote; KeyError or TypeError if it did not."""
        return cls(**values)


def write_answers(folder: Path, answers: Sequence[Answer]) -> Path:
    """Write `answers.jsonl` into a folder that exists."""
    path = folder / ANSWERS
    write_atomically(path, "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in answers))
    return path


def read_answers(folder: Path) -> list[Answer]:
    """Read the answers in a folder: those written by `write_answers`, else those logged by lmms-eval below it.

    Raises:
        DataError: there are none, a line is no answer, or a question was answered twice.
    """
    own = folder / ANSWERS
    found = _read_lines(own, _read_own) if own.is_file() else _read_log(folder)
    if not found:
        raise DataError(
            f"{folder} holds no finished evaluation: neither evaluation.json, which `vapo evaluate --data` writes at "
            f"its end, nor {ANSWERS}, which `vapo evaluate --suite` writes, nor {_LOGGED}, which "
            "`python -m lmms_eval --tasks vapo_paper --log_samples` writes. To compare diagnoses, give both models to "
            "one `vapo diagnose`"
        )
    seen: set[tuple[str, int, int]] = set()
    for answer in found:
        if (answer.benchmark, answer.row, answer.completion) in seen:
            raise DataError(
                f"{folder} holds two answers to row {answer.row} of {answer.benchmark}, as of two runs; name the "
                "folder of one"
            )
        seen.add((answer.benchmark, answer.row, answer.completion))
    return found


def read_logged(values: Mapping[str, Any]) -> Answer:
    """Return the answer in a line of lmms-eval's log, or in a sample of its results."""
    outcome = cast(dict[str, Any], values["score"])
    response = values["filtered_resps"]
    counts = cast(list[dict[str, int] | None], values.get("token_counts") or [None])[0] or {}
    return Answer(
        row=int(values["doc_id"]),
        response=str(response if isinstance(response, str) else response[0]),
        num_tokens=counts.get("output_tokens"),
        **outcome,
    )


def _read_own(values: Mapping[str, Any]) -> Answer:
    return Answer(**values)


def _read_log(folder: Path) -> list[Answer]:
    return [answer for path in sorted(folder.rglob(_LOGGED)) for answer in _read_lines(path, read_logged)]


def _read_lines(path: Path, read: Callable[[Mapping[str, Any]], Answer]) -> list[Answer]:
    answers: list[Answer] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            answers.append(read(json.loads(line)))
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(f"{path}, line {number}: this is no answer of a suite ({error}); evaluate anew") from None
    return answers
