"""MATH-Vision (arXiv 2402.14804): problems of mathematics competitions."""

from __future__ import annotations

import re

from vapo.evaluation.suites.benchmark import Benchmark, Question, Row, put_options
from vapo.evaluation.suites.keys import Choice, Written


def read_question(row: Row) -> Question:
    """Make the question of a row: its images are drawn together in one, whatever number its text gives them."""
    options = tuple(str(option) for option in row["options"])
    question, answer = re.sub(r"<image\d+>", "", str(row["question"])).strip(), str(row["answer"]).strip()
    if not options:
        return Question(str(row["id"]), question, Written((answer,)), _IMAGE)
    letters = "ABCDEFGHIJ"[: len(options)]
    if options == tuple(letters):  # the choices are drawn, and the options only repeat their letters
        text = f"{question}\nThe choices {letters[0]} to {letters[-1]} are in the picture."
        return Question(str(row["id"]), text, Choice((answer,)), _IMAGE)
    return Question(str(row["id"]), put_options(question, options), Choice((answer,), options), _IMAGE)


_IMAGE = ("decoded_image",)

MATHVISION = Benchmark(
    name="mathvision",
    title="MathVision",
    data="MathLLMs/MathVision",
    split="test",
    num_questions=3040,
    read=read_question,
)
