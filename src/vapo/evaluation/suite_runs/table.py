"""A suite's scores, and the difference of two models, as text that reads well in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from vapo.core.text_tables import align
from vapo.diagnosis.estimate_words import format_p_value
from vapo.diagnosis.estimates import Estimate
from vapo.evaluation.suite_runs.comparison import Difference
from vapo.evaluation.suite_runs.result import SuiteResult
from vapo.evaluation.suite_runs.sampled_comparison import TOKENS
from vapo.evaluation.suite_runs.scores import BenchmarkScore
from vapo.evaluation.suites.answers import RULE
from vapo.evaluation.suites.suite import Suite

_SCORES = (18, 9, 16, 11, 8, 7)
_SAMPLED = (18, 4, 9, 16, 9, 16, 11, 8)
_DIFFERENCES = (18, 9, 9, 9, 16, 7)
_SAMPLED_DIFFERENCES = (18, 16, 9, 9, 9, 16, 7)


def format_result(suite: Suite, result: SuiteResult) -> str:
    """Return a table of a model's scores in percent beside the published ones, and how each was measured."""
    score = result.score
    widths = (*_SCORES, *(len(name) + 2 for name in suite.published))
    head = ("", "score", "95 % interval", "no answer", "tokens", "asked", *suite.published)
    lines = [
        f"{result.model} on the suite {suite.name!r}: {sum(one.num_questions for one in score.benchmarks)} questions",
        f"ours: {result.harness or 'harness not recorded'}, {result.engine or 'engine not recorded'}, greedy",
        *([f"published: {suite.published_by}"] if suite.published else []),
        "",
        align(head, widths),
        *(align(_write(suite, one), widths) for one in score.benchmarks),
    ]
    if score.mean is not None:
        means = [
            f"{sum(scores.values()) / len(scores):.1f}" if len(scores) == len(suite.benchmarks) else "-"
            for scores in suite.published.values()
        ]
        lines.append(align(("mean", *_write_score(score.mean), "", "", "", *means), widths))
    lines += _write_sampled(suite, result)
    if result.tokens_per_second is not None:
        lines += ["", f"{result.tokens_per_second:,.0f} tokens per second"]
    return "\n".join([*lines, "", *_notes(suite, result)])


def format_differences(
    suite: Suite, names: Sequence[str], differences: Sequence[Difference], sampled: Sequence[Difference] = ()
) -> str:
    """Return a table of the second model's scores less the first's, paired by question.

    Args:
        suite: whose benchmarks they are.
        names: of the two models.
        differences: see `compare_answers`.
        sampled: see `compare_samples`; none if nothing was sampled.
    """
    lines = [
        f"{names[1]} less {names[0]}, on the questions that both answered",
        "",
        align(("", "first", "second", "change", "95 % interval", "asked"), _DIFFERENCES),
    ]
    for one in differences:
        name = "mean" if one.name is None else suite.find(one.name).title
        scores = (f"{100 * one.first:.1f}", f"{100 * one.second:.1f}", f"{100 * one.change.value:+.1f}")
        cells = (name, *scores, _interval(one.change, "+.1f"), one.num_questions)
        lines.append(align(cells, _DIFFERENCES) + format_p_value(one.change))
    if sampled:
        lines += ["", "in sampled responses", ""]
        lines.append(align(("", "", "first", "second", "change", "95 % interval", "asked"), _SAMPLED_DIFFERENCES))
        for one in sampled:
            name = "mean" if one.name is None else suite.find(one.name).title
            scale = 1 if one.measure == TOKENS else 100
            scores = (f"{scale * one.first:.1f}", f"{scale * one.second:.1f}", f"{scale * one.change.value:+.1f}")
            cells = (name, one.measure, *scores, _interval(one.change, "+.1f", scale), one.num_questions)
            lines.append(align(cells, _SAMPLED_DIFFERENCES) + format_p_value(one.change))
    return "\n".join([*lines, "", "Scores in percent; intervals paired by question, which agree with an exact test."])


def _write_sampled(suite: Suite, result: SuiteResult) -> list[str]:
    """Return the table of sampled responses; nothing if there are none."""
    sampled = [(one, one.sampled) for one in result.score.benchmarks if one.sampled is not None]
    if not sampled:
        return []
    heat = result.settings.get("temperature")
    lines = [
        "",
        f"sampled besides{f', at temperature {heat:g}' if heat is not None else ''}",
        "",
        align(("", "k", "avg@k", "95 % interval", "pass@k", "95 % interval", "no answer", "tokens"), _SAMPLED),
    ]
    for one, own in sampled:
        cells = (
            suite.find(one.name).title,
            own.num_completions,
            *_write_score(own.average),
            *_write_score(own.passed[own.num_completions]),
            f"{100 * own.unparsed.value:.1f} %",
            "-" if own.num_tokens is None else f"{own.num_tokens.value:,.0f}",
        )
        lines.append(align(cells, _SAMPLED))
    if result.score.mean_sampled is not None:
        lines.append(align(("mean", "", *_write_score(result.score.mean_sampled)), _SAMPLED))
    return lines


def _write(suite: Suite, one: BenchmarkScore) -> list[object]:
    benchmark = suite.find(one.name)
    length = "-" if one.num_tokens is None else f"{one.num_tokens.value:,.0f}"
    published = [f"{scores[one.name]:.1f}" if one.name in scores else "-" for scores in suite.published.values()]
    unparsed = f"{100 * one.unparsed.value:.1f} %"
    return [benchmark.title, *_write_score(one.score), unparsed, length, one.num_questions, *published]


def _write_score(estimate: Estimate | None) -> tuple[str, str]:
    return ("-", "") if estimate is None else (f"{100 * estimate.value:.1f}", _interval(estimate, ".1f"))


def _interval(estimate: Estimate, form: str, scale: float = 100) -> str:
    if estimate.low is None or estimate.high is None:
        return "all alike"
    return f"{scale * estimate.low:{form}} to {scale * estimate.high:{form}}"


def _notes(suite: Suite, result: SuiteResult) -> list[str]:
    notes: list[str] = []
    for one in result.score.benchmarks:
        benchmark = suite.find(one.name)
        remarks: list[str] = []
        if one.num_questions < benchmark.num_questions:
            remarks.append(f"{one.num_questions} of {benchmark.num_questions} questions were asked")
        if one.score is None:
            remarks.append(f"no problem was asked with all its steps, so there is no {benchmark.score}")
        if one.parts:
            parts = ", ".join(f"{name} {100 * share:.1f}" for name, share in one.parts.items())
            remarks.append(f"{benchmark.score}, here {parts}")
        if one.details:
            remarks.append(", ".join(f"{name} {100 * share:.1f}" for name, share in one.details.items()))
        if benchmark.wants_judge:
            remarks.append("graded by rule, stricter than the published judge" if one.grader == RULE else one.grader)
        notes += [f"{benchmark.title}: {'; '.join(remarks)}."] if remarks else []
    asked = {one.name for one in result.score.benchmarks}
    missing = [one.title for one in suite.benchmarks if one.name not in asked]
    if missing:
        notes.append(f"Not asked: {', '.join(missing)}.")
    notes.append(
        "No answer: the response holds none of the kind asked for; it scores 0, and is not counted as a wrong answer."
    )
    if suite.published:
        notes.append(
            "Published scores were measured with another harness, prompt and grader: differences hold these too."
        )
    return notes
