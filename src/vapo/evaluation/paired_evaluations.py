"""Two evaluations of own data, paired by question."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vapo.core.perception import NUM_QUARTERS, share_right
from vapo.core.text_tables import align
from vapo.diagnosis.estimate_words import format_p_value
from vapo.diagnosis.estimates import Estimate, estimate_difference
from vapo.diagnosis.question_rows import AskedClaim, QuestionRow
from vapo.diagnosis.row_log import read_rows
from vapo.diagnosis.summary import Evaluation
from vapo.errors import DataError

EVALUATION = "evaluation.json"
_WIDTHS = (44, 9, 9, 9, 18, 11)
_Measure = Callable[[QuestionRow], float | None]


@dataclass(frozen=True, slots=True)
class MeasuredChange:
    """One measure of two evaluations, on the questions on which both have it.

    Attributes:
        measure: what is measured.
        is_share: whether it is a share, in [0, 1].
        first, second: its means on these questions.
        change: the second less the first, with its paired interval.
    """

    measure: str
    is_share: bool
    first: float
    second: float
    change: Estimate


@dataclass(frozen=True, slots=True)
class PairedEvaluations:
    """Two evaluations side by side.

    Attributes:
        changes: one per measure that both have.
        notes: what the pairing left out, and what else was different, in sentences.
    """

    changes: tuple[MeasuredChange, ...]
    notes: tuple[str, ...]


def is_evaluation(folder: Path) -> bool:
    """Return whether a folder holds a finished evaluation of own data."""
    return (folder / EVALUATION).is_file()


def load_evaluation(folder: Path) -> Evaluation:
    """Return the evaluation that `vapo evaluate --out` wrote, with its rows.

    Raises:
        DataError: a file is missing, or is not what was written.
    """
    try:
        evaluation = Evaluation.from_json(json.loads((folder / EVALUATION).read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / EVALUATION} is no evaluation ({error!r}); evaluate anew") from error
    return replace(evaluation, rows=tuple(read_rows(folder, QuestionRow)))


def pair_evaluations(first: Evaluation, second: Evaluation, *, seed: int = 0) -> PairedEvaluations:
    """Compare two evaluations on the questions that both were asked.

    A question is the same if its text, reference and image are. Its claims are compared if they are the same too.

    Args:
        first, second: with their rows, see `load_evaluation`.
        seed: of the resampling.

    Raises:
        DataError: they have no question in common.
    """
    theirs = dict(zip(_name_questions(second.rows), second.rows, strict=True))
    pairs = [
        (row, theirs[key]) for key, row in zip(_name_questions(first.rows), first.rows, strict=True) if key in theirs
    ]
    if not pairs:
        raise DataError("the two have no question in common; evaluate both on the same data and split")
    changes: list[MeasuredChange] = []
    for name, measure in _list_measures().items():
        both = [
            (before, after, row.image)
            for row, other in pairs
            if (before := measure(row)) is not None
            and (after := measure(other)) is not None
            and (name in _ON_ANSWERS or row.digest == other.digest)
        ]
        if not both:
            continue
        befores, afters, images = zip(*both, strict=True)
        change = estimate_difference(
            [after - before for before, after in zip(befores, afters, strict=True)],
            seed=seed,
            name=f"difference {name}",
            images=images,
            most=math.inf if name == _LENGTH else 1.0,
        )
        before, after = (sum(values) / len(values) for values in (befores, afters))
        changes.append(MeasuredChange(name, name != _LENGTH, before, after, change))
    return PairedEvaluations(tuple(changes), tuple(_note(first, second, pairs)))


def format_changes(names: Sequence[str], paired: PairedEvaluations) -> str:
    """Return a table of the second evaluation's numbers less the first's, and the notes; shares in percent.

    Args:
        names: of the two.
        paired: see `pair_evaluations`.
    """
    lines = [
        f"{names[1]} less {names[0]}, each line on the questions on which both have the measure",
        "",
        align(("", "first", "second", "change", "95 % interval", "questions"), _WIDTHS),
    ]
    for one in paired.changes:
        scale = 100 if one.is_share else 1
        change = one.change
        interval = "all alike"
        if change.low is not None and change.high is not None:
            interval = f"{scale * change.low:+.1f} to {scale * change.high:+.1f}"
        numbers = (f"{scale * one.first:.1f}", f"{scale * one.second:.1f}", f"{scale * change.value:+.1f}")
        cells = (f"{one.measure}, %" if one.is_share else one.measure, *numbers, interval, change.num_questions)
        lines.append(align(cells, _WIDTHS) + format_p_value(change))
    lines += ["", "Intervals are paired by question, and agree with an exact test.", *paired.notes]
    return "\n".join(lines)


_LENGTH = "completion length, tokens"
_RIGHT, _ANSWERED, _FORMAT = "right answers, greedy", "answers in \\boxed{}", "response format kept"
_AVERAGE = "right answers, sampled"
_ON_ANSWERS = (_RIGHT, _AVERAGE, _ANSWERED, _FORMAT, _LENGTH)


def _list_measures() -> dict[str, _Measure]:
    def share(claims: Sequence[AskedClaim], quarter: int | None = None) -> float | None:
        return share_right(((claim.depth, claim.correct) for claim in claims), quarter)

    def sampled(row: QuestionRow) -> float | None:
        return sum(row.sampled_right) / len(row.sampled_right) if row.sampled_right else None

    claims = "claims judged right"
    return {
        _RIGHT: lambda row: float(row.right),
        _AVERAGE: sampled,
        _ANSWERED: lambda row: float(row.answer is not None),
        _FORMAT: lambda row: float(row.has_format),
        f"{claims}, before the response": lambda row: share(row.before),
        **{
            f"{claims}, quarter {quarter} of {NUM_QUARTERS}": lambda row, quarter=quarter: share(row.along, quarter)
            for quarter in range(1, NUM_QUARTERS + 1)
        },
        f"{claims}, along the response": lambda row: share(row.along),
        _LENGTH: lambda row: float(row.num_tokens),
    }


def _name_questions(rows: Sequence[QuestionRow]) -> list[tuple[str, str, str, int]]:
    """Return what makes each row's question the same in another evaluation; repeated ones are numbered."""
    seen: Counter[tuple[str, str, str]] = Counter()
    names: list[tuple[str, str, str, int]] = []
    for row in rows:
        key = (row.question, row.reference, "" if row.image == row.digest else row.image)
        names.append((*key, seen[key]))
        seen[key] += 1
    return names


def _note(first: Evaluation, second: Evaluation, pairs: Sequence[tuple[QuestionRow, QuestionRow]]) -> list[str]:
    notes: list[str] = []
    for which, one in (("first", first), ("second", second)):
        if len(one.rows) > len(pairs):
            notes.append(f"{len(one.rows) - len(pairs)} questions of the {which} are not in the other, and left out.")
    other_claims = sum(row.digest != other.digest for row, other in pairs)
    if other_claims:
        notes.append(
            f"{other_claims} of {len(pairs)} questions have other ids or claims; their claims are not compared."
        )
    names = [name for name in {**first.settings, **second.settings} if name != "weights"]
    different = [
        f"{name} ({first.settings.get(name)!r} and {second.settings.get(name)!r})"
        for name in names
        if first.settings.get(name) != second.settings.get(name)
    ]
    if different:
        notes.append(f"They were measured with different settings: {', '.join(different)}.")
    return notes
