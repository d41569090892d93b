"""Answers of a suite as scores with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from vapo.core.intervals import resample_scores
from vapo.diagnosis.estimates import (
    RESAMPLES,
    Estimate,
    bound_draws,
    bound_score,
    estimate_mean,
    estimate_rate,
)
from vapo.errors import DataError
from vapo.evaluation.suites.answers import RULE, Answer
from vapo.evaluation.suites.benchmark import IMAGE, Benchmark, Graded, GroupScores, group_by_image
from vapo.evaluation.suites.suite import Suite

_RESAMPLING = 4  # keeps this generator apart from others with the same seed


@dataclass(frozen=True, slots=True)
class BenchmarkScore:
    """What a model scored on one benchmark; shares are in [0, 1].

    Attributes:
        name: of the benchmark.
        num_questions: how many were answered.
        score: the benchmark's own; None if no group of its questions was asked whole.
        parts: per name, the shares that the score is the mean of; empty where it is one.
        wrong: share of the questions whose answer could be read and earned nothing.
        unparsed: share whose response held no answer of the kind asked for.
        num_tokens: length of a response; None where the engine did not say.
        grader: `rule`, or the judge's name.
        details: further shares that the benchmark's authors report, by name.
    """

    name: str
    num_questions: int
    score: Estimate | None
    parts: dict[str, float]
    wrong: Estimate
    unparsed: Estimate
    num_tokens: Estimate | None
    grader: str
    details: dict[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class SuiteScore:
    """What a model scored on a suite.

    Attributes:
        benchmarks: in the suite's order; those that were not asked are left out.
        mean: of the benchmarks' scores, each weighing the same; None unless every benchmark of the suite has one.
    """

    benchmarks: tuple[BenchmarkScore, ...]
    mean: Estimate | None


def score_answers(suite: Suite, answers: Sequence[Answer], *, seed: int = 0) -> SuiteScore:
    """Make scores of graded answers.

    Args:
        suite: whose benchmarks they are of.
        answers: at least one.
        seed: of the intervals' resampling.

    Raises:
        ConfigError: an answer is of a benchmark that the suite does not have.
        DataError: there are no answers.
    """
    if not answers:
        raise DataError("there are no answers to score; evaluate the suite first")
    scores: list[BenchmarkScore] = []
    draws: list[NDArray[np.float64]] = []
    parts: list[NDArray[np.float64]] = []
    for benchmark in suite.benchmarks:
        own = select_answers(suite, answers, benchmark)
        if own:
            groups = group_answers(benchmark, own)
            scores.append(_score_benchmark(benchmark, own, groups, seed))
            if groups:
                draws.append(draw_scores(benchmark, groups, seed))
                parts.append(share_out(groups))
    mean = None
    if len(draws) == len(suite.benchmarks):
        values = [score.score.value for score in scores if score.score is not None]
        moves_G = np.concatenate(parts, axis=1)[1] / len(parts)
        mean = bound(float(np.mean(values)), np.mean(draws, axis=0), moves_G, len(answers))
    return SuiteScore(tuple(scores), mean)


def select_answers(suite: Suite, answers: Sequence[Answer], benchmark: Benchmark) -> list[Answer]:
    """Return the answers to one benchmark's questions, in the order of its rows."""
    own = [answer for answer in answers if suite.find(answer.benchmark) is benchmark]
    return sorted(own, key=lambda answer: answer.row)


def group_answers(benchmark: Benchmark, answers: Sequence[Answer]) -> list[GroupScores]:
    """Group answers into the benchmark's independent groups."""
    return benchmark.group_scores(_grade(answers))


def share_answers(benchmark: Benchmark, answers: Sequence[Answer]) -> tuple[float, ...]:
    """Return the shares that a benchmark's score is the mean of; none if no group of questions was asked whole."""
    return benchmark.shares(_grade(answers))


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


def _score_benchmark(
    benchmark: Benchmark, answers: Sequence[Answer], groups: Sequence[GroupScores], seed: int
) -> BenchmarkScore:
    lengths = [answer.num_tokens for answer in answers if answer.num_tokens is not None]
    shares = share_answers(benchmark, answers)
    images = [answer.attributes.get(IMAGE, f"row {answer.row}") for answer in answers]
    return BenchmarkScore(
        name=benchmark.name,
        num_questions=len(answers),
        score=estimate_rate([answer.score == 1 for answer in answers], images)
        if benchmark.group_scores is group_by_image and all(answer.score in (0, 1) for answer in answers)
        else _estimate(benchmark, groups, shares, seed),
        parts=dict(zip(benchmark.parts, shares, strict=True)) if benchmark.parts and shares else {},
        wrong=estimate_rate([answer.is_parsed and answer.score == 0 for answer in answers], images),
        unparsed=estimate_rate([not answer.is_parsed for answer in answers], images),
        num_tokens=estimate_mean(lengths, seed=seed, name=f"tokens {benchmark.name}") if lengths else None,
        grader=next((answer.grader for answer in answers if answer.grader != RULE), RULE),
        details=benchmark.describe(_grade(answers)) if benchmark.describe is not None else {},
    )


def _grade(answers: Sequence[Answer]) -> list[Graded]:
    return [Graded(answer.score, answer.attributes, answer.is_parsed) for answer in answers]


def _estimate(
    benchmark: Benchmark, groups: Sequence[GroupScores], shares: Sequence[float], seed: int
) -> Estimate | None:
    if not groups:
        return None
    if all(group.possible_K == (1.0,) and group.reached_K[0] in (0, 1) for group in groups):
        return estimate_rate([group.reached_K[0] == 1 for group in groups])  # whole problems, right or wrong
    score = sum(shares) / len(shares)
    return bound(score, draw_scores(benchmark, groups, seed), share_out(groups)[1], len(groups))
