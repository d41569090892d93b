"""RealWorldQA (xAI, 2024): where things are, in photographs from cars and streets."""

from __future__ import annotations

import re

from vapo.evaluation.suites.benchmark import ROW, Benchmark, Question, Row
from vapo.evaluation.suites.keys import Choice, Key, Written, YesNo

_DIRECTLY = re.compile(r"\s*Please answer directly[^.]*\.?\s*$")
_OPTION = re.compile(r"^([A-Z])\.\s*(.+?)\s*$", re.MULTILINE)


def read_question(row: Row) -> Question:
    """Make the question of a row; its text holds the options, and a request to answer at once, which is left out."""
    text, answer = _DIRECTLY.sub("", str(row["question"]).strip()), str(row["answer"]).strip()
    options = tuple(option for _, option in _OPTION.findall(text))
    key: Key = Written((answer,))
    if options and len(answer) == 1 and answer.isalpha():
        key = Choice((answer.upper(),), options)
    elif answer.lower() in ("yes", "no"):
        key = YesNo(answer.lower() == "yes")
    return Question(str(row.get(ROW, text)), text, key, ("image",))


REALWORLDQA = Benchmark(
    name="realworldqa",
    title="RealWorldQA",
    data="lmms-lab-encoder/RealWorldQA",
    split="test",
    num_questions=765,
    read=read_question,
)
