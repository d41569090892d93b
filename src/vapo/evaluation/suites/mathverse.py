"""MathVerse (arXiv 2403.14624): the question itself stands in the image."""

from __future__ import annotations

from vapo.evaluation.suites.benchmark import Benchmark, Question, Row
from vapo.evaluation.suites.keys import Choice, Key, Written

# The row's own wording asks for an answer "directly", without reasoning, so it is not used.
_ASK_CHOICE = "Answer the question that the picture shows. The answer is the letter of the right choice."
_ASK_VALUE = "Answer the question that the picture shows. The answer is a value."


def read_question(row: Row) -> Question:
    """Make the question of a row: in this version its text is empty."""
    is_choice = row["question_type"] == "multi-choice"
    answer = str(row["answer"]).strip()
    key: Key = Choice((answer,)) if is_choice else Written((answer,))
    asked = _ASK_CHOICE if is_choice else _ASK_VALUE
    text = str(row["question"] or "").strip()
    return Question(str(row["sample_index"]), f"{text}\n{asked}" if text else asked, key, ("image",))


MATHVERSE = Benchmark(
    name="mathverse",
    title="MathVerse",
    data="CaraJ/MathVerse-lmmseval",
    split="test-mini, vision only",
    num_questions=788,
    read=read_question,
)
