"""A judge's scores in place of the rule's, where a benchmark's published score is a judge's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from vapo.core.grading import take_answer_part
from vapo.diagnosis.opened_models import open_judge
from vapo.evaluation.suites.answers import Answer
from vapo.evaluation.suites.suite import Suite
from vapo.serving.judge.answer_score import Case
from vapo.serving.judge.judge import Judge

Regrade = Callable[[Sequence[Answer]], list[Answer]]


def open_grader(suite: Suite, model: str | None, url: str | None) -> Regrade | None:
    """Return what gives answers the scores of a judge; None if no judge is named.

    Args:
        suite: whose answers they are.
        model: the judge's name on its server.
        url: of an OpenAI-compatible server; None is OpenAI's own.

    Raises:
        ConfigError: a URL comes without a model.
        ServerError: there is no server, no such model, or the key is wrong.
    """
    judge = open_judge(model, url)
    return partial(judge_answers, suite, judge) if judge is not None else None


def judge_answers(suite: Suite, judge: Judge, answers: Sequence[Answer]) -> list[Answer]:
    """Return the answers, those of judged benchmarks with the judge's scores.

    The judge reads all that stands behind the thinking. Where that is nothing, there is no answer to judge.

    Raises:
        ModelError: a reply did not come, or names no score.
    """
    texts = {id(answer): take_answer_part(answer.response) for answer in answers}
    chosen = [answer for answer in answers if suite.find(answer.benchmark).wants_judge]
    asked = [answer for answer in chosen if texts[id(answer)]]
    scores = judge.grade([Case(answer.question, answer.reference, texts[id(answer)]) for answer in asked])
    score_of = {id(answer): score for answer, score in zip(asked, scores, strict=True)}
    chosen_ids = {id(answer) for answer in chosen}

    def regrade(answer: Answer) -> Answer:
        score = score_of.get(id(answer))
        return replace(answer, score=score or 0.0, is_parsed=score is not None, grader=judge.name)

    return [regrade(answer) if id(answer) in chosen_ids else answer for answer in answers]
