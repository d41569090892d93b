"""Geometry3K (arXiv 2105.04165): geometry with diagrams, answered without choices."""

from __future__ import annotations

from vapo.evaluation.suites.benchmark import Benchmark, Question, Row
from vapo.evaluation.suites.keys import Written


def read_question(row: Row) -> Question:
    """Make the question of a row; its text holds `<image>`."""
    text = str(row["problem"])
    return Question(str(row.get("id", text[:60])), text, Written((str(row["answer"]),)), ("images",))


GEOMETRY3K = Benchmark(
    name="geometry3k",
    title="Geometry3K",
    data="hiyouga/geometry3k",
    split="validation and test",
    num_questions=901,
    read=read_question,
)
