"""MMMU (arXiv 2311.16502): questions of college subjects, with up to seven images."""

from __future__ import annotations

import ast
import re

from vapo.evaluation.suites.benchmark import Benchmark, Question, Row, put_options
from vapo.evaluation.suites.keys import Choice, Key, Written

_MENTION = re.compile(r"<image (\d+)>")


def read_question(row: Row) -> Question:
    """Make the question of a row. An image stands where it is mentioned first; later mentions name it."""
    options = tuple(str(option) for option in ast.literal_eval(row["options"]))
    answer = str(row["answer"])
    if row["question_type"] == "multiple-choice":
        key: Key = Choice((answer.strip(),), tuple(_MENTION.sub("", option).strip() for option in options))
    else:
        key = Written(_read_spellings(answer))
        options = ()
    shown: list[str] = []

    def place(mention: re.Match[str]) -> str:
        number = mention[1]
        if number in shown:
            return f"[picture {shown.index(number) + 1}]"
        shown.append(number)
        return "<image>"

    text = _MENTION.sub(place, put_options(str(row["question"]), options))
    return Question(str(row["id"]), text, key, tuple(f"image_{number}" for number in shown))


def _read_spellings(answer: str) -> tuple[str, ...]:
    """Read the answer of an open question: one, or a list of spellings in Python's writing."""
    if answer.startswith("[") and answer.endswith("]"):
        try:
            return tuple(str(spelling) for spelling in ast.literal_eval(answer))
        except (SyntaxError, ValueError):
            pass  # brackets of mathematics
    return (answer,)


MMMU = Benchmark(
    name="mmmu",
    title="MMMU",
    data="lmms-lab-encoder/MMMU",
    split="validation",
    num_questions=900,
    read=read_question,
)
