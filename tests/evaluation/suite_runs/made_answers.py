"""Answers of made-up models to made-up questions of the paper's suite."""

from __future__ import annotations

import numpy as np

from vapo.evaluation.suites.answers import Answer
from vapo.evaluation.suites.hallusionbench import FIGURE, PAIR, SET
from vapo.evaluation.suites.wemath import PROBLEM, STEP


def make_answer(benchmark: str, row: int, score: float, **more) -> Answer:
    fields = {"is_parsed": True, "answer": "A", "reference": "A", "response": "\\boxed{A}", "num_tokens": 10 + row}
    return Answer(benchmark=benchmark, row=row, id=f"q{row}", question="What?", score=score, **{**fields, **more})


def answer_rows(benchmark: str, scores, **more) -> list[Answer]:
    return [make_answer(benchmark, row, float(score), **more) for row, score in enumerate(scores)]


def answer_wemath(outcomes) -> list[Answer]:
    """Problems of two steps: (first, second, whole) each."""
    return [
        make_answer("wemath", 3 * number + place, score, attributes={PROBLEM: f"2steps-{number}", STEP: step})
        for number, scores in enumerate(outcomes)
        for place, (step, score) in enumerate(zip(("1", "2", "multi"), scores, strict=True))
    ]


def answer_hallusion(sets) -> list[Answer]:
    """Sets of two figures and two questions of both: ((f0q0, f0q1), (f1q0, f1q1)) each."""
    answers: list[Answer] = []
    for number, figures in enumerate(sets):
        for figure, scores in enumerate(figures):
            for question, score in enumerate(scores):
                attributes = {SET: f"s{number}", FIGURE: f"s{number}_{figure}", PAIR: f"s{number}_{question}"}
                answers.append(make_answer("hallusionbench", len(answers), score, attributes=attributes))
    return answers


def answer_all(rate: float, count: int = 40, seed: int = 0) -> list[Answer]:
    """Answers to `count` questions of each benchmark, right by chance at a rate."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int):
        return (rng.random(shape) < rate).astype(float)

    answers = answer_wemath(draw(count, 3)) + answer_hallusion(draw(count, 2, 2))
    for name in ("mathverse", "mathvista", "mathvision", "logicvista", "geometry3k", "mmmu", "mmstar", "mmvet"):
        answers += answer_rows(name, draw(count))
    return answers
