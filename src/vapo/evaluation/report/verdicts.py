"""Whether reasoning and perception are up or down from one model to another, by fixed rules.

A change is up or down only if its paired 95 % interval leaves out 0, and of fewer than `FEWEST` questions nothing is
said. Where published benchmarks and own data clearly disagree, the verdict is that they do. Intervals are for each
change alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vapo.diagnosis.comparison import list_measures
from vapo.diagnosis.estimate_words import FEWEST, format_p_value, format_points, is_clear, write_percent
from vapo.diagnosis.estimates import Estimate
from vapo.diagnosis.findings import Diagnosis
from vapo.evaluation.suite_runs.comparison import compare_answers
from vapo.evaluation.suite_runs.groups import group_answers, select_answers
from vapo.evaluation.suites.answers import Answer
from vapo.evaluation.suites.suite import PAPER, PERCEPTION, Suite

Aspect = Literal["reasoning", "perception"]
Direction = Literal["up", "down", "unclear", "contradictory", "unmeasured"]

SUITES: dict[Aspect, Suite] = {"reasoning": PAPER, "perception": PERCEPTION}
"""The published benchmarks that say how well a model does either."""

_OWN: dict[Aspect, tuple[str, ...]] = {
    "reasoning": ("right answers", "right answers without reasoning"),
    "perception": (
        "claims judged right along the response",
        "claims judged right before the response",
        "claims judged right at the end",
        "claims judged better with the image, at the end",
    ),
}
"""Measures of a diagnosis; the verdict is on the first."""

_HOW: dict[Aspect, str] = {
    "reasoning": "give --suite paper, or --data",
    "perception": "give --suite perception, or --data with claims",
}


@dataclass(frozen=True, slots=True)
class Change:
    """A share in [0, 1] that was measured of both models, on the same questions.

    Attributes:
        source: what was asked: a suite's name, or the data's.
        what: is measured.
        first, second: its values.
        change: the second less the first, with its paired interval.
        num_questions: that both answered; `change` counts those about one image once where it has to.
    """

    source: str
    what: str
    first: float
    second: float
    change: Estimate
    num_questions: int

    @property
    def direction(self) -> Direction:
        """Where it went, as far as that can be told."""
        if self.num_questions < FEWEST or not is_clear(self.change):
            return "unclear"
        return "up" if self.change.value > 0 else "down"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of reasoning, or of perception.

    Attributes:
        aspect: which of the two.
        direction: where it went.
        sentences: one on each source that tells of it, with numbers; or why nothing is known.
        changes: all that was measured of it.
    """

    aspect: Aspect
    direction: Direction
    sentences: tuple[str, ...]
    changes: tuple[Change, ...]


def judge_aspect(aspect: Aspect, sources: Sequence[Sequence[Change]]) -> Verdict:
    """Return the verdict on one aspect.

    Args:
        aspect: which.
        sources: what each source of it measured, that on which it is judged first; empty ones are left out.
    """
    known = [changes for changes in sources if changes]
    if not known:
        return Verdict(aspect, "unmeasured", (f"{aspect.title()} was not measured: {_HOW[aspect]}.",), ())
    leads = [changes[0] for changes in known]
    direction = "contradictory" if {"up", "down"} <= {lead.direction for lead in leads} else leads[0].direction
    said = tuple(_phrase(aspect, lead) for lead in leads)
    return Verdict(aspect, direction, said, tuple(change for changes in known for change in changes))


def compare_suite(aspect: Aspect, first: Sequence[Answer], second: Sequence[Answer], *, seed: int = 0) -> list[Change]:
    """Return the changes on an aspect's benchmarks, that of their mean first; none if no benchmark is answered.

    Args:
        aspect: which.
        first, second: answers of two models, also to other benchmarks.
        seed: of the resampling.

    Raises:
        DataError: the two were asked different questions, or graded differently.
    """
    suite = SUITES[aspect]
    names = {benchmark.name for benchmark in suite.benchmarks}
    own = [[answer for answer in answers if answer.benchmark in names] for answers in (first, second)]
    both = set.intersection(*({(answer.benchmark, answer.row) for answer in answers} for answers in own))
    common = [answer for answer in own[0] if (answer.benchmark, answer.row) in both]
    if not any(group_answers(one, select_answers(suite, common, one)) for one in suite.benchmarks):
        return []
    differences = compare_answers(suite, *own, seed=seed)
    changes = [
        Change(
            f"suite {suite.name}",
            suite.find(one.name).title if one.name is not None else f"mean of {len(differences) - 1} benchmarks",
            one.first,
            one.second,
            one.change,
            one.num_questions,
        )
        for one in differences
    ]
    return [changes[-1], *changes[:-1]]


def compare_findings(aspect: Aspect, diagnosis: Diagnosis) -> list[Change]:
    """Return the changes on own data, from a diagnosis of two models; none where the aspect's first is missing."""
    first, second = diagnosis.models
    mine = {question.digest: question for question in second.questions}
    measures = list_measures(first)
    known = {one.measure: one.difference for one in diagnosis.differences}
    if _OWN[aspect][0] not in known:
        return []
    changes: list[Change] = []
    for name in _OWN[aspect]:
        if name not in known or name not in measures:
            continue
        pairs = [(measures[name](one), measures[name](mine[one.digest])) for one in first.questions]
        both = [(before, after) for before, after in pairs if before is not None and after is not None]
        before, after = (sum(values) / len(both) for values in zip(*both, strict=True))
        changes.append(Change(diagnosis.data, name, before, after, known[name], len(both)))
    return changes


def _phrase(aspect: Aspect, lead: Change) -> str:
    count = lead.num_questions
    asked = lead.source if "question" in lead.source else f"{lead.source}, {_count(count)}"
    subject = f"{lead.what} ({asked})"
    if count < FEWEST:
        verb = "is" if count == 1 else "are"
        return f"{subject}: {_count(count)} {verb} too few to say whether {aspect} is up or down."
    numbers = (
        f"{subject} {write_percent(lead.first)} and then {write_percent(lead.second)}, {format_points(lead.change)}"
        f"{format_p_value(lead.change)}"
    )
    if lead.direction == "unclear":
        return f"Whether {aspect} is up or down cannot be told: {numbers}."
    return f"{aspect.title()} is {lead.direction}: {numbers}."


def _count(number: int) -> str:
    return f"{number} question{'' if number == 1 else 's'}"
