"""MathVista (arXiv 2310.02255): mathematics in charts, figures and photographs."""

from __future__ import annotations

from vapo.evaluation.suites.benchmark import Benchmark, Question, Row, put_options
from vapo.evaluation.suites.keys import Choice, Key, Rounded, Written


def read_question(row: Row) -> Question:
    """Make the question of a row: a choice, a number with so many decimals, or a list."""
    question, answer = str(row["question"]), str(row["answer"])
    if row["unit"]:
        question += f" (Unit: {row['unit']})"
    if row["question_type"] == "multi_choice":
        options = tuple(str(option) for option in row["choices"])
        key: Key = Choice((chr(ord("A") + options.index(answer)),), options)
        return Question(str(row["pid"]), put_options(question, options), key, _IMAGE)
    kind, decimals = row["answer_type"], int(row["precision"] or 0)
    if kind == "integer":
        return Question(str(row["pid"]), f"{question}\nThe answer is an integer.", Rounded(float(answer), 0), _IMAGE)
    if kind == "float":
        asked = f"{question}\nThe answer is a number, rounded to {decimals} decimal place{'s' * (decimals != 1)}."
        return Question(str(row["pid"]), asked, Rounded(float(answer), decimals), _IMAGE)
    asked = f"{question}\nThe answer is a list, such as [1, 2]." if kind == "list" else question
    return Question(str(row["pid"]), asked, Written((answer,)), _IMAGE)


_IMAGE = ("decoded_image",)

MATHVISTA = Benchmark(
    name="mathvista",
    title="MathVista",
    data="AI4Math/MathVista",
    split="test-mini",
    num_questions=1000,
    read=read_question,
)
