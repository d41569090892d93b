"""HR-Bench (arXiv 2408.15556): pictures of 4K and 8K, each question with its options in every cyclic order."""

from __future__ import annotations

from dataclasses import replace

from vapo.evaluation.suites.benchmark import Benchmark, Question, Row, accuracy_by, put_options
from vapo.evaluation.suites.keys import Choice

CATEGORY = "category"


def read_question(row: Row) -> Question:
    """Make the question of a row, about one thing ("single") or several ("cross")."""
    options = tuple(str(row[letter]) for letter in "ABCD" if row.get(letter) not in (None, ""))
    text = put_options(str(row["question"]).strip(), options)
    key = Choice((str(row["answer"]).strip().upper(),), options)
    return Question(f"{row['index']}-{row['cycle_category']}", text, key, ("image",), {CATEGORY: str(row["category"])})


HRBENCH_4K = Benchmark(
    name="hrbench_4k",
    title="HR-Bench 4K",
    data="DreamMr/HR-Bench",
    split="hrbench_4k",
    num_questions=800,
    read=read_question,
    describe=accuracy_by(CATEGORY),
)
HRBENCH_8K = replace(HRBENCH_4K, name="hrbench_8k", title="HR-Bench 8K", split="hrbench_8k")
