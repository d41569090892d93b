"""A suite's scores, and the difference of two models, as text that reads well in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from vapo.diagnosis.estimate_words import say_chance
from vapo.diagnosis.estimates import Estimate
from vapo.diagnosis.suite.comparison import Difference
from vapo.diagnosis.suite.result import SuiteResult
from vapo.diagnosis.suite.scores import BenchmarkScore
from vapo.suites.answers import RULE
from vapo.suites.suite import Suite

_NAME, _NUMBER, _INTERVAL = 16, 9, 16


def format_result(suite: Suite, result: SuiteResult) -> str:
    """Return a table of a model's scores in percent beside the published ones, and how each was measured."""
    score = result.score
    columns = [f"{name:>{len(name) + 2}}" for name in suite.published]
    head = f"{'':{_NAME}}{'score':>{_NUMBER}}{'95 % interval':>{_INTERVAL}}{'no answer':>11}{'tokens':>8}{'asked':>7}"
    lines = [
        f"{result.model} on the suite {suite.name!r}: {sum(one.num_questions for one in score.benchmarks)} questions",
        f"ours: {result.harness or 'harness not recorded'}, {result.engine or 'engine not recorded'}, greedy",
        f"published: {suite.published_by}",
        "",
        head + "".join(columns),
        *(_line(suite, one) for one in score.benchmarks),
    ]
    if score.mean is not None:
        means = [sum(scores.values()) / len(scores) for scores in suite.published.values()]
        lines.append(f"{'mean':{_NAME}}{_score(score.mean)}{'':26}{_published(suite, means)}")
    if result.tokens_per_second is not None:
        lines += ["", f"{result.tokens_per_second:,.0f} tokens per second"]
    return "\n".join([*lines, "", *_notes(suite, result)])


def format_differences(suite: Suite, names: Sequence[str], differences: Sequence[Difference]) -> str:
    """Return a table of the second model's scores less the first's, paired by question.

    Args:
        suite: whose benchmarks they are.
        names: of the two models.
        differences: see `compare_answers`.
    """
    lines = [
        f"{names[1]} less {names[0]}, on the questions that both answered",
        "",
        f"{'':{_NAME}}{'first':>{_NUMBER}}{'second':>{_NUMBER}}{'change':>{_NUMBER}}{'95 % interval':>{_INTERVAL}}"
        f"{'asked':>7}",
    ]
    for one in differences:
        name = "mean" if one.name is None else suite.find(one.name).title
        lines.append(
            f"{name:{_NAME}}{100 * one.first:>{_NUMBER}.1f}{100 * one.second:>{_NUMBER}.1f}"
            f"{100 * one.change.value:>+{_NUMBER}.1f}{_interval(one.change, '+.1f'):>{_INTERVAL}}"
            f"{one.num_questions:>7}{say_chance(one.change)}"
        )
    return "\n".join([*lines, "", "Scores in percent; intervals by paired bootstrap over questions."])


def _line(suite: Suite, one: BenchmarkScore) -> str:
    benchmark = suite.find(one.name)
    length = "-" if one.num_tokens is None else f"{one.num_tokens.value:,.0f}"
    published = [scores[one.name] for scores in suite.published.values()]
    return (
        f"{benchmark.title:{_NAME}}{_score(one.score)}{100 * one.unparsed.value:>9.1f} %{length:>8}"
        f"{one.num_questions:>7}{_published(suite, published)}"
    )


def _score(estimate: Estimate | None) -> str:
    if estimate is None:
        return f"{'-':>{_NUMBER}}{'':{_INTERVAL}}"
    return f"{100 * estimate.value:>{_NUMBER}.1f}{_interval(estimate, '.1f'):>{_INTERVAL}}"


def _interval(estimate: Estimate, form: str) -> str:
    if estimate.low is None or estimate.high is None:
        return "all alike"
    return f"{100 * estimate.low:{form}} to {100 * estimate.high:{form}}"


def _published(suite: Suite, scores: Sequence[float]) -> str:
    return "".join(f"{score:>{len(name) + 2}.1f}" for name, score in zip(suite.published, scores, strict=True))


def _notes(suite: Suite, result: SuiteResult) -> list[str]:
    notes: list[str] = []
    for one in result.score.benchmarks:
        benchmark = suite.find(one.name)
        told: list[str] = []
        if one.num_questions < benchmark.num_questions:
            told.append(f"{one.num_questions} of {benchmark.num_questions} questions were asked")
        if one.score is None:
            told.append(f"no problem was asked with all its steps, so there is no {benchmark.score}")
        if one.parts:
            parts = ", ".join(f"{name} {100 * share:.1f}" for name, share in one.parts.items())
            told.append(f"{benchmark.score}, here {parts}")
        if benchmark.wants_judge:
            told.append("graded by rule, stricter than the published judge" if one.grader == RULE else one.grader)
        notes += [f"{benchmark.title}: {'; '.join(told)}."] if told else []
    asked = {one.name for one in result.score.benchmarks}
    missing = [one.title for one in suite.benchmarks if one.name not in asked]
    if missing:
        notes.append(f"Not asked: {', '.join(missing)}.")
    notes.append(
        "No answer: the response holds none of the kind asked for; it scores 0, and is not counted as a wrong answer."
    )
    notes.append("Published scores were measured with another harness, prompt and grader: differences hold these too.")
    return notes
