"""Two models on the same questions of a suite, paired by question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vapo.diagnosis.estimates import Estimate, reach_zero
from vapo.errors import DataError
from vapo.evaluation.suite_runs.groups import (
    bound,
    draw_scores,
    group_answers,
    select_answers,
    share_out,
)
from vapo.evaluation.suites.answers import Answer
from vapo.evaluation.suites.benchmark import Benchmark, share_groups
from vapo.evaluation.suites.suite import Suite


@dataclass(frozen=True, slots=True)
class Difference:
    """Two models on one benchmark, or on the mean of several.

    Attributes:
        name: of the benchmark; None for the mean.
        num_questions: that both answered.
        first, second: their scores on these, in [0, 1].
        change: the second less the first, with its paired interval.
        measure: what is compared.
    """

    name: str | None
    num_questions: int
    first: float
    second: float
    change: Estimate
    measure: str = "score"


def compare_answers(
    suite: Suite, first: Sequence[Answer], second: Sequence[Answer], *, sampled: bool = False, seed: int = 0
) -> tuple[Difference, ...]:
    """Compare two models on the questions that both answered.

    Each resample draws groups of questions and scores both models on the same ones, so that what makes a question hard
    for both says nothing about their difference.

    Args:
        suite: whose benchmarks they answered.
        first, second: their answers.
        sampled: whether to compare what they scored on average in sampled responses, instead of greedily.
        seed: of the resampling.

    Returns:
        A difference per benchmark, in the suite's order, and then that of their mean if there are several.

    Raises:
        ConfigError: an answer is of a benchmark that the suite does not have.
        DataError: the two were asked different questions, or have none in common.
    """
    differences: list[Difference] = []
    draws: list[NDArray[np.float64]] = []
    parts: list[NDArray[np.float64]] = []
    for benchmark in suite.benchmarks:
        both = [select_answers(suite, answers, benchmark, sampled=sampled) for answers in (first, second)]
        ours, theirs = pair_answers(benchmark, *both)
        groups = [group_answers(benchmark, answers) for answers in (ours, theirs)]
        if groups[0]:
            scores = [float(np.mean(share_groups(own))) for own in groups]
            drawn = [draw_scores(benchmark, own, seed) for own in groups]
            draws.append(drawn[1] - drawn[0])
            parts.append(share_out(groups[1]) - share_out(groups[0]))
            change = _bound(scores[1] - scores[0], draws[-1], parts[-1], len(groups[0]), seed)
            count = len({answer.row for answer in ours})
            differences.append(Difference(benchmark.name, count, scores[0], scores[1], change))
    if not differences:
        raise DataError("the two have no question in common; evaluate both on the same benchmarks")
    if len(differences) > 1:
        differences.append(
            _average(differences, np.mean(draws, axis=0), np.concatenate(parts, axis=1) / len(parts), seed)
        )
    return tuple(differences)


def pair_answers(
    benchmark: Benchmark, first: Sequence[Answer], second: Sequence[Answer]
) -> tuple[list[Answer], list[Answer]]:
    """Return the answers of two models to the questions that both answered.

    Raises:
        DataError: under the same row the two were asked different questions, or they were graded differently.
    """
    by_row, of_first = ({answer.row: answer for answer in own} for own in (second, first))
    common = [answer for answer in first if answer.row in by_row]
    for answer in common:
        other = by_row[answer.row]
        if (answer.id, answer.reference) != (other.id, other.reference):
            raise DataError(
                f"{benchmark.title}, row {answer.row}: the two were asked different questions ({answer.id!r} and "
                f"{other.id!r}); the data has changed between them, so evaluate both on the same"
            )
        if answer.grader != other.grader:
            raise DataError(
                f"{benchmark.title} was graded by {answer.grader} for the first and by {other.grader} for the second; "
                "have both graded alike"
            )
    # What either knows of a question, such as its image, holds for both.
    known = {row: {**by_row[row].attributes, **of_first[row].attributes} for row in by_row.keys() & of_first.keys()}

    def select(answers: Sequence[Answer]) -> list[Answer]:
        return [replace(answer, attributes=known[answer.row]) for answer in answers if answer.row in known]

    return select(first), select(second)


def _bound(
    value: float, draws: NDArray[np.float64], parts_2G: NDArray[np.float64], num_questions: int, seed: int
) -> Estimate:
    """Bound a difference; it can be told from 0 only where flipping signs, too, can tell it."""
    change = bound(value, draws, parts_2G[1], num_questions, least=-1.0)
    return reach_zero(change, parts_2G[0], seed=seed, name="difference of scores")


def _average(
    differences: Sequence[Difference], draws: NDArray[np.float64], parts_2G: NDArray[np.float64], seed: int
) -> Difference:
    first = float(np.mean([one.first for one in differences]))
    second = float(np.mean([one.second for one in differences]))
    count = sum(one.num_questions for one in differences)
    return Difference(None, count, first, second, _bound(second - first, draws, parts_2G, count, seed))
