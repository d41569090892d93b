"""BLINK (arXiv 2404.12390): fourteen tasks that people solve at a glance, on up to four images."""

from __future__ import annotations

from collections.abc import Sequence

from vapo.evaluation.suites.benchmark import Benchmark, Graded, Question, Row, accuracy_by
from vapo.evaluation.suites.keys import Choice

TASK = "task"
_IMAGES = ("image_1", "image_2", "image_3", "image_4")


def read_question(row: Row) -> Question:
    """Make the question of a row: its prompt, which holds the options."""
    options = tuple(str(option) for option in row["choices"])
    shown = tuple(column for column in _IMAGES if row.get(column) is not None)
    key = Choice((str(row["answer"]).strip(" ()").upper(),), options)
    return Question(str(row["idx"]), str(row["prompt"]), key, shown or _IMAGES[:1], {TASK: str(row["sub_task"])})


def describe(graded: Sequence[Graded]) -> dict[str, float]:
    """Return the accuracy of each task, and their mean, which the authors' `eval/evaluate.py` reports as the total."""
    tasks = accuracy_by(TASK)(graded)
    return {**tasks, "mean of the tasks": sum(tasks.values()) / len(tasks)}


BLINK = Benchmark(
    name="blink",
    title="BLINK",
    data="BLINK-Benchmark/BLINK",
    split="val",
    num_questions=1901,
    read=read_question,
    describe=describe,
)
