"""V* (arXiv 2312.14135): small things in large pictures."""

from __future__ import annotations

import re

from vapo.evaluation.suites.benchmark import Benchmark, Question, Row, accuracy_by
from vapo.evaluation.suites.keys import Choice

CATEGORY = "category"
_DIRECTLY = re.compile(r"\s*Answer with the option's letter[^.]*\.?\s*$")


def read_question(row: Row) -> Question:
    """Make the question of a row; its text holds the options, and a request to answer at once, which is left out."""
    category = str(row["category"])
    text = _DIRECTLY.sub("", str(row["text"]))
    name = f"{category}-{row['question_id']}"
    return Question(name, text, Choice((str(row["label"]).strip().upper(),)), ("image",), {CATEGORY: category})


VSTAR = Benchmark(
    name="vstar",
    title="V*",
    data="lmms-lab-encoder/vstar-bench",
    split="test",
    num_questions=191,
    read=read_question,
    describe=accuracy_by(CATEGORY),
)
