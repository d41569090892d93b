"""avg@k and pass@k: what a model scores on a benchmark in several sampled responses to each question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from vapo.diagnosis.estimates import Estimate, estimate_mean, estimate_share
from vapo.evaluation.suite_runs.groups import bound, draw_scores, group_answers, share_out
from vapo.evaluation.suites.answers import Answer
from vapo.evaluation.suites.benchmark import IMAGE, Benchmark, group_by_image, share_groups


@dataclass(frozen=True, slots=True)
class SampledScore:
    """What a model scored in k sampled responses to each question; shares are in [0, 1].

    Attributes:
        num_completions: k.
        average: avg@k, the mean over completions of the benchmark's own score; None if it has none.
        passed: pass@j of single questions by j, for j = 1, 2, 4, ... and k: whether one of j responses is fully right.
        unparsed: share of the responses that held no answer of the kind asked for.
        num_tokens: length of a response; None where the engine did not say.
    """

    num_completions: int
    average: Estimate | None
    passed: dict[int, Estimate]
    unparsed: Estimate
    num_tokens: Estimate | None


@dataclass(frozen=True, slots=True)
class Samples:
    """The sampled responses to one question.

    Attributes:
        image: what it is about; questions about one image are not independent.
        answers: k of them.
    """

    image: str
    answers: tuple[Answer, ...]

    @property
    def score(self) -> float:
        """The mean score."""
        return float(np.mean([answer.score for answer in self.answers]))

    @property
    def unparsed(self) -> float:
        """The share that held no answer of the kind asked for."""
        return float(np.mean([not answer.is_parsed for answer in self.answers]))

    @property
    def num_tokens(self) -> float | None:
        """The mean length; None where the engine did not say."""
        lengths = [answer.num_tokens for answer in self.answers if answer.num_tokens is not None]
        return float(np.mean(lengths)) if lengths else None

    def passed(self, j: int) -> float:
        """Return pass@j."""
        return pass_at(j, sum(answer.score == 1 for answer in self.answers), len(self.answers))


def pass_at(j: int, num_right: int, num_completions: int) -> float:
    """Return the unbiased estimate of how often one of j responses is right: 1 - C(n - c, j) / C(n, j).

    Args:
        j: responses that are looked at, in [1, n].
        num_right: c, of the n that were drawn.
        num_completions: n.

    Raises:
        ValueError: a number is out of its range.

    Source: Chen et al., arXiv 2107.03374, section 2.1.
    """
    if not (1 <= j <= num_completions and 0 <= num_right <= num_completions):
        raise ValueError(f"pass@{j} of {num_right} right among {num_completions} is not defined")
    return 1 - comb(num_completions - num_right, j) / comb(num_completions, j)


def gather_samples(answers: Sequence[Answer]) -> list[Samples]:
    """Return the sampled responses of each question, by row."""
    rows: dict[int, list[Answer]] = {}
    for answer in answers:
        rows.setdefault(answer.row, []).append(answer)
    return [Samples(own[0].attributes.get(IMAGE, f"row {row}"), tuple(own)) for row, own in sorted(rows.items())]


def score_sampled(benchmark: Benchmark, answers: Sequence[Answer], seed: int) -> SampledScore:
    """Score sampled answers; intervals are over images or the benchmark's own groups, never over single responses.

    Args:
        benchmark: whose answers they are.
        answers: at least one, from `select_answers`.
        seed: of the intervals' resampling.
    """
    questions = gather_samples(answers)
    count, images = len(questions[0].answers), [one.image for one in questions]

    def estimate(values: Sequence[float], name: str) -> Estimate:
        return estimate_share(values, seed=seed, name=f"{name} {benchmark.name}", images=images)

    average, groups = None, group_answers(benchmark, answers)
    if benchmark.group_scores is group_by_image:
        average = estimate([one.score for one in questions], "avg@k")
    elif groups:
        value = float(np.mean(share_groups(groups)))
        average = bound(value, draw_scores(benchmark, groups, seed), share_out(groups)[1], len(questions))
    lengths = [length for one in questions if (length := one.num_tokens) is not None]
    name = f"sampled tokens {benchmark.name}"
    return SampledScore(
        num_completions=count,
        average=average,
        passed={j: estimate([one.passed(j) for one in questions], f"pass@{j}") for j in list_tries(count)},
        unparsed=estimate([one.unparsed for one in questions], "unparsed"),
        num_tokens=estimate_mean(lengths, seed=seed, name=name, images=images)
        if len(lengths) == len(questions)
        else None,
    )


def list_tries(num_completions: int) -> list[int]:
    """Return the j of pass@j that are told of k responses: 1, 2, 4, ... and k."""
    return sorted({*(2**power for power in range(num_completions.bit_length())), num_completions})
