"""LogicVista (arXiv 2407.04973): tests of logic in images. The choices stand in the question or in the image."""

from __future__ import annotations

import re

from vapo.evaluation.suites.benchmark import Benchmark, Question, Row
from vapo.evaluation.suites.keys import Choice

_ASK = "The answer is the letter of the right choice; where several are right, all their letters."


def read_question(row: Row) -> Question:
    """Make the question of a row: several letters can belong to an answer."""
    letters = tuple(sorted(set(re.findall("[A-Z]", str(row["answer"]).upper()))))
    text = str(row["question"])
    return Question(str(row.get("id", text[:60])), f"{text}\n{_ASK}", Choice(letters), ("image",))


LOGICVISTA = Benchmark(
    name="logicvista",
    title="LogicVista",
    data="lscpku/LogicVista",
    split="test",
    num_questions=448,
    read=read_question,
)
