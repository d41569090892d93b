"""Two models in sampled responses to the same questions of a suite, paired by question."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from vapo.diagnosis.estimates import estimate_difference
from vapo.evaluation.suite_runs.comparison import Difference, compare_answers, pair_answers
from vapo.evaluation.suite_runs.groups import select_answers
from vapo.evaluation.suite_runs.sampling import Samples, gather_samples
from vapo.evaluation.suites.answers import Answer
from vapo.evaluation.suites.benchmark import Benchmark
from vapo.evaluation.suites.suite import Suite

UNPARSED, TOKENS = "no answer", "tokens"


def compare_samples(
    suite: Suite, first: Sequence[Answer], second: Sequence[Answer], *, seed: int = 0
) -> tuple[Difference, ...]:
    """Compare what two models wrote in sampled responses, on the questions for which both have some.

    Args:
        suite: whose benchmarks they answered.
        first, second: their answers, of which the greedy ones are left aside.
        seed: of the resampling.

    Returns:
        Per benchmark the differences of avg@k, of pass@k at the lesser k of the two, of the share without an answer,
        and of the length; then that of the mean avg@k if there are several. None if no question was sampled for both.

    Raises:
        ConfigError: an answer is of a benchmark that the suite does not have.
        DataError: the two were asked different questions.
    """
    ours, theirs = ({(one.benchmark, one.row) for one in own if one.completion} for own in (first, second))
    if not ours & theirs:
        return ()
    found: list[Difference] = []
    for average in compare_answers(suite, first, second, sampled=True, seed=seed):
        if average.name is None:
            found.append(replace(average, measure="avg@k"))
            continue
        benchmark = suite.find(average.name)
        both = [select_answers(suite, answers, benchmark, sampled=True) for answers in (first, second)]
        ours, theirs = (gather_samples(answers) for answers in pair_answers(benchmark, *both))
        sizes = dict.fromkeys(len(own[0].answers) for own in (ours, theirs))
        found.append(replace(average, measure="avg@" + " and ".join(map(str, sizes))))
        found += _compare_questions(benchmark, ours, theirs, min(sizes), seed)
    return tuple(found)


def _compare_questions(
    benchmark: Benchmark, first: Sequence[Samples], second: Sequence[Samples], least: int, seed: int
) -> Iterator[Difference]:
    measures: dict[str, Callable[[Samples], float | None]] = {
        f"pass@{least}": lambda one: one.passed(least),
        UNPARSED: lambda one: one.unparsed,
        TOKENS: lambda one: one.num_tokens,
    }
    for name, measure in measures.items():
        measured = [(measure(ours), measure(theirs), ours.image) for ours, theirs in zip(first, second, strict=True)]
        known = [(a, b, image) for a, b, image in measured if a is not None and b is not None]
        if known:
            befores, afters, images = zip(*known, strict=True)
            change = estimate_difference(
                [after - before for before, after in zip(befores, afters, strict=True)],
                seed=seed,
                name=f"difference {name} {benchmark.name}",
                images=images,
                most=math.inf if name == TOKENS else 1.0,
            )
            yield Difference(
                benchmark.name, len(known), float(np.mean(befores)), float(np.mean(afters)), change, measure=name
            )
