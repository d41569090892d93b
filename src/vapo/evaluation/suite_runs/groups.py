"""Answers in a benchmark's independent groups, which a score and its interval are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from vapo.core.intervals import resample_scores
from vapo.diagnosis.estimates import RESAMPLES, Estimate, bound_draws, bound_score
from vapo.errors import DataError
from vapo.evaluation.suites.answers import Answer
from vapo.evaluation.suites.benchmark import Benchmark, Graded, GroupScores
from vapo.evaluation.suites.suite import Suite

_RESAMPLING = 4  # keeps this generator apart from others with the same seed


def select_answers(
    suite: Suite, answers: Sequence[Answer], benchmark: Benchmark, *, sampled: bool = False
) -> list[Answer]:
    """Return the greedy or the sampled answers to one benchmark's questions, in the order of its rows.

    Raises:
        ConfigError: an answer is of a benchmark that the suite does not have.
        DataError: some questions have more sampled answers than others.
    """
    own = [one for one in answers if suite.find(one.benchmark) is benchmark and (one.completion > 0) == sampled]
    counts = set(Counter(answer.row for answer in own).values())
    if len(counts) > 1:
        raise DataError(
            f"{benchmark.title}: some questions have {min(counts)} sampled responses and some {max(counts)}; evaluate "
            "all of them with one --num-completions"
        )
    return sorted(own, key=lambda answer: (answer.completion, answer.row))


def group_answers(benchmark: Benchmark, answers: Sequence[Answer]) -> list[GroupScores]:
    """Group answers into the benchmark's independent groups.

    Of several completions of each question, a group is the mean of what they reach: avg@k is the mean over completions
    of the benchmark's own score.

    Args:
        benchmark: whose answers they are.
        answers: the same questions, in the same order, for each completion.
    """
    completions: dict[int, list[Answer]] = {}
    for answer in answers:
        completions.setdefault(answer.completion, []).append(answer)
    grouped = [benchmark.group_scores(grade(own)) for own in completions.values()]

    def average(same: tuple[GroupScores, ...]) -> GroupScores:
        reached = zip(*(one.reached_K for one in same), strict=True)
        return GroupScores(tuple(sum(values) / len(same) for values in reached), same[0].possible_K)

    return [average(same) for same in zip(*grouped, strict=True)]


def grade(answers: Sequence[Answer]) -> list[Graded]:
    """Return what a benchmark's score is made of."""
    return [Graded(answer.score, answer.attributes, answer.is_parsed) for answer in answers]


def draw_scores(benchmark: Benchmark, groups: Sequence[GroupScores], seed: int) -> NDArray[np.float64]:
    """Resample a benchmark's score, shape (RESAMPLES,); the same groups for every model with as many."""
    rng = np.random.default_rng([_RESAMPLING, seed, crc32(benchmark.name.encode())])
    reached, possible = [group.reached_K for group in groups], [group.possible_K for group in groups]
    return resample_scores(reached, possible, rng, RESAMPLES)


def share_out(groups: Sequence[GroupScores]) -> NDArray[np.float64]:
    """Return what each group adds to a score of K shares, and how far it moves the score, to first order.

    Returns:
        Shape (2, G): mean_k(reached_gk / possible_k), which sum to the score, and the same less share_k possible_gk /
        possible_k, which sum to 0.
    """
    reached_GK = np.array([group.reached_K for group in groups])
    possible_GK = np.array([group.possible_K for group in groups])
    possible_K = possible_GK.sum(axis=0)
    expected_GK = reached_GK.sum(axis=0) / possible_K * possible_GK
    return np.stack([(values_GK / possible_K).mean(axis=1) for values_GK in (reached_GK, reached_GK - expected_GK)])


def bound(
    value: float,
    draws: NDArray[np.float64],
    parts_G: NDArray[np.float64],
    num_questions: int,
    least: float = 0.0,
) -> Estimate:
    """Return a score, or a difference of two, with its interval; none where draws are all alike.

    Args:
        value: the score, at most 1.
        draws: of it.
        parts_G: how far each group moves it, as from `share_out`.
        num_questions: how many it is of.
        least: the least that it can be.
    """
    if draws.min() == draws.max():
        return Estimate(value, None, None, num_questions)
    low, high = bound_score(value, parts_G, lambda: bound_draws(draws))
    return Estimate(value, max(low, least), min(high, 1.0), num_questions)
