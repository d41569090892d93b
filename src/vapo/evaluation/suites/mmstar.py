"""MMStar (arXiv 2403.20330): questions that cannot be answered without the image."""

from __future__ import annotations

from dataclasses import replace

from vapo.evaluation.suites.benchmark import Benchmark, Question, Row
from vapo.evaluation.suites.keys import Choice


def read_question(row: Row) -> Question:
    """Make the question of a row; its text holds the options."""
    return Question(str(row["index"]), str(row["question"]), Choice((str(row["answer"]).strip(),)), ("image",))


def asks_for_perception(row: Row) -> bool:
    """Return whether a row is of one of the two categories of perception, coarse and fine-grained."""
    return str(row["category"]).strip().endswith("perception")


MMSTAR = Benchmark(
    name="mmstar",
    title="MMStar",
    data="Lin-Chen/MMStar",
    split="val",
    num_questions=1500,
    read=read_question,
)

MMSTAR_PERCEPTION = replace(
    MMSTAR, name="mmstar_perception", title="MMStar perception", num_questions=500, takes=asks_for_perception
)
