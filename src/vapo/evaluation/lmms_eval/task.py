"""What a task's file names: how a marked row is put to a model, and what its response is worth.

`put_*` are the harness's doc_to_*: messages for models that take conversations, text and images for the older ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vapo.data.prompts import PLACE, split_question
from vapo.evaluation.lmms_eval.rows import find_benchmark
from vapo.evaluation.suites import suite
from vapo.evaluation.suites.benchmark import IMAGE, Benchmark, Graded, digest_images, grade_response
from vapo.evaluation.suites.suite import PROMPT

Row = dict[str, Any]

_digests: dict[tuple[str, str], str] = {}
"""Of the images of questions that were put, by benchmark and question: the harness grades rows without images."""


def put_messages(row: Row) -> list[dict[str, Any]]:
    """Return the conversation: the prompt as the system's, then the question with its images in their places."""
    benchmark = find_benchmark(row)
    images = _open_images(benchmark, row)
    parts = split_question(benchmark.question(row).text, len(images))
    left = iter(images)
    content = [
        {"type": "image", "url": next(left)} if part is None else {"type": "text", "text": part} for part in parts
    ]
    return [{"role": "system", "content": [{"type": "text", "text": PROMPT}]}, {"role": "user", "content": content}]


def put_text(row: Row) -> str:
    """Return the prompt and the question as one text, for models that put images first."""
    return f"{PROMPT}\n\n{find_benchmark(row).question(row).text.replace(PLACE, '').strip()}"


def put_images(row: Row) -> list[Any]:
    """Return the images in order."""
    return _open_images(find_benchmark(row), row)


def put_target(row: Row) -> str:
    """Return the right answer in words."""
    return find_benchmark(row).question(row).key.reference


def grade(row: Row, responses: Sequence[str]) -> dict[str, Any]:
    """Grade a response by rule.

    Returns:
        `score`, of which `aggregate_scores` makes the benchmark's, with all that a comparison needs of the question;
        and `unparsed`, 1 where there was no answer to grade.
    """
    benchmark = find_benchmark(row)
    question = benchmark.question(row)
    graded = grade_response(question, responses[0])
    outcome = {
        "benchmark": benchmark.name,
        "id": question.id,
        "question": question.text,
        "score": graded.score,
        "is_parsed": graded.is_parsed,
        "answer": graded.answer,
        "reference": question.key.reference,
        "attributes": {**question.attributes, **_name_images(benchmark, row)},
    }
    return {"score": outcome, "unparsed": float(not graded.is_parsed)}


def _open_images(benchmark: Benchmark, row: Row) -> list[Any]:
    images = benchmark.images(row)
    _digests[benchmark.name, benchmark.question(row).id] = digest_images(images)
    return images


def _name_images(benchmark: Benchmark, row: Row) -> dict[str, str]:
    """Return the digest of a row's images as an attribute; none where they were not put by this process."""
    question = benchmark.question(row)
    if (benchmark.name, question.id) not in _digests and all(row.get(column) for column in question.images):
        _open_images(benchmark, row)
    digest = _digests.get((benchmark.name, question.id))
    return {} if digest is None else {IMAGE: digest}


def aggregate_scores(outcomes: Sequence[Mapping[str, Any]]) -> float:
    """Return a benchmark's own score in percent; not a number if no group of questions was asked whole."""
    benchmark = suite.find_benchmark(outcomes[0]["benchmark"])
    graded = [Graded(outcome["score"], outcome["attributes"], outcome["is_parsed"]) for outcome in outcomes]
    shares = benchmark.shares(graded)
    return 100 * sum(shares) / len(shares) if shares else math.nan


def aggregate_unparsed(unparsed: Sequence[float]) -> float:
    """Return how many responses held no answer, in percent."""
    return 100 * sum(unparsed) / len(unparsed)
