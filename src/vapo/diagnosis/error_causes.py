"""Causes of errors: a judge says whether a wrong response saw wrongly, reasoned wrongly, or did not know.

Source: arXiv 2509.25848, Section 3.1 and Appendix A.3.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol, get_args

from vapo.diagnosis.findings import Category, ErrorCause, QuestionFindings
from vapo.types import Sample

CATEGORIES: tuple[Category, ...] = get_args(Category)


class Judge(Protocol):
    """Who says why an answer is wrong: a model, or the known truth of a small world. Asked from several threads."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    def judge(self, sample: Sample, response: str, votes: int) -> Sequence[Category | None]:
        """Return `votes` opinions on a wrong response, None for each that could not be read or had.

        Raises:
            VapoError: it cannot be asked at all.
        """
        ...


def find_cause(sample: Sample, response: str, judge: Judge | None, truth: Judge | None, votes: int) -> ErrorCause:
    """Ask the judge and look up the truth; without a judge, the truth is the category.

    Args:
        sample: the question.
        response: what the model wrote, wrong.
        judge: whose votes count; None for none.
        truth: knows the cause exactly; None where nobody does.
        votes: opinions asked of the judge.
    """
    known = truth.judge(sample, response, 1)[0] if truth is not None else None
    if judge is None:
        return ErrorCause((), known, known)
    given: tuple[Category, ...] = tuple(vote for vote in judge.judge(sample, response, votes) if vote is not None)
    return ErrorCause(given, find_majority(given), known)


def find_majority(votes: Sequence[Category]) -> Category | None:
    """Return what most votes say; None without votes, or if two categories have the most."""
    ranked = Counter(votes).most_common(2)
    if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
        return None
    return ranked[0][0]


def count_confusion(questions: Sequence[QuestionFindings]) -> dict[Category, dict[Category, int]] | None:
    """Count errors by what the judge said and by what is true: `counts[judged][true]`; None if nothing can be."""
    pairs = _judged_with_truth(questions)
    if not pairs:
        return None
    counts: dict[Category, dict[Category, int]] = {judged: dict.fromkeys(CATEGORIES, 0) for judged in CATEGORIES}
    for judged, true, _ in pairs:
        counts[judged][true] += 1
    return counts


def list_agreements(questions: Sequence[QuestionFindings]) -> list[tuple[bool, str]]:
    """Return, per error with a judgement and a known truth, whether they are the same, and the question's image."""
    return [(judged == true, image) for judged, true, image in _judged_with_truth(questions)]


def _judged_with_truth(questions: Sequence[QuestionFindings]) -> list[tuple[Category, Category, str]]:
    causes = [(q.cause, q.image) for q in questions if q.cause is not None and q.cause.votes]
    return [(cause.category, cause.truth, image) for cause, image in causes if cause.category and cause.truth]
