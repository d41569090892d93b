"""Answers of a suite as scores with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from vapo.diagnosis.estimates import Estimate, estimate_mean, estimate_rate
from vapo.errors import DataError
from vapo.evaluation.suite_runs.groups import (
    bound,
    draw_scores,
    grade,
    group_answers,
    select_answers,
    share_out,
)
from vapo.evaluation.suite_runs.sampling import SampledScore, score_sampled
from vapo.evaluation.suites.answers import RULE, Answer
from vapo.evaluation.suites.benchmark import IMAGE, Benchmark, GroupScores, group_by_image, share_groups
from vapo.evaluation.suites.suite import Suite


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
        sampled: of responses that were sampled besides; None if none were. All else is of the greedy ones.
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
    sampled: SampledScore | None = None


@dataclass(frozen=True, slots=True)
class SuiteScore:
    """What a model scored on a suite.

    Attributes:
        benchmarks: in the suite's order; those that were not asked are left out.
        mean: of the benchmarks' scores, each weighing the same; None unless every benchmark of the suite has one.
        mean_sampled: the same of avg@k.
    """

    benchmarks: tuple[BenchmarkScore, ...]
    mean: Estimate | None
    mean_sampled: Estimate | None = None


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
    grouped: dict[bool, dict[Benchmark, list[GroupScores]]] = {False: {}, True: {}}
    for benchmark in suite.benchmarks:
        own = select_answers(suite, answers, benchmark)
        if own:
            groups = group_answers(benchmark, own)
            score = _score_benchmark(benchmark, own, groups, seed)
            drawn = select_answers(suite, answers, benchmark, sampled=True)
            scores.append(replace(score, sampled=score_sampled(benchmark, drawn, seed)) if drawn else score)
            grouped[False][benchmark] = groups
            grouped[True][benchmark] = group_answers(benchmark, drawn)
    count = sum(score.num_questions for score in scores)
    means = [_average(suite, grouped[sampled], count, seed) for sampled in (False, True)]
    return SuiteScore(tuple(scores), *means)


def _average(
    suite: Suite, grouped: Mapping[Benchmark, Sequence[GroupScores]], num_questions: int, seed: int
) -> Estimate | None:
    """Return the mean of the benchmarks' scores; None unless each has one."""
    whole = [(benchmark, grouped.get(benchmark)) for benchmark in suite.benchmarks]
    own = [(benchmark, groups) for benchmark, groups in whole if groups]
    if len(own) < len(whole):
        return None
    values = [float(np.mean(share_groups(groups))) for _, groups in own]
    draws = [draw_scores(benchmark, groups, seed) for benchmark, groups in own]
    moves_G = np.concatenate([share_out(groups)[1] for _, groups in own]) / len(own)
    return bound(float(np.mean(values)), np.mean(draws, axis=0), moves_G, num_questions)


def _score_benchmark(
    benchmark: Benchmark, answers: Sequence[Answer], groups: Sequence[GroupScores], seed: int
) -> BenchmarkScore:
    lengths = [answer.num_tokens for answer in answers if answer.num_tokens is not None]
    shares = share_groups(groups)
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
        details=benchmark.describe(grade(answers)) if benchmark.describe is not None else {},
    )


def _estimate(
    benchmark: Benchmark, groups: Sequence[GroupScores], shares: Sequence[float], seed: int
) -> Estimate | None:
    if not groups:
        return None
    if all(group.possible_K == (1.0,) and group.reached_K[0] in (0, 1) for group in groups):
        return estimate_rate([group.reached_K[0] == 1 for group in groups])  # whole problems, right or wrong
    score = sum(shares) / len(shares)
    return bound(score, draw_scores(benchmark, groups, seed), share_out(groups)[1], len(groups))
