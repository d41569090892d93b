"""Pairs of an answer and a reference, graded as in training, so that one can look before a run."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from vapo.core.answers.comparison import Comparison
from vapo.core.grading import compare_with_reference, extract_answer
from vapo.data.sources import open_rows
from vapo.data.texts import read_text
from vapo.errors import DataError, suggest_nearest

OPTIONS_COLUMN = "options"
_WIDTH = 40


@dataclass(frozen=True, slots=True)
class AnswerPair:
    """An answer with its reference and what came of comparing them."""

    where: str
    answer: str
    reference: str
    comparison: Comparison


def grade_pairs(
    source: str | Path, *, answer_column: str = "answer", reference_column: str = "reference"
) -> list[AnswerPair]:
    """Grade every row of a file. A column `options` with a list of texts says what stands behind A, B, ...

    Args:
        source: a Parquet, JSON Lines, CSV or TSV file, or whatever else `open_rows` opens.
        answer_column: the column of answers: what stands in a box, or a completion with one.
        reference_column: the column of references.

    Raises:
        DataError: the source cannot be opened, a column is missing, or a cell holds no text.
        RuntimeError: math-verify is needed and cannot be run at all.
    """
    rows = open_rows(source)
    for name in (answer_column, reference_column):
        if name not in rows.columns:
            raise DataError(
                f"{rows.source} has no column {name!r}{suggest_nearest(name, rows.columns)}; its columns are "
                f"{', '.join(map(repr, rows.columns))}. Name the right one with --answer or --reference"
            )
    pairs: list[AnswerPair] = []
    for index in range(len(rows)):
        row = rows.read(index)
        try:
            answer = read_text(row.get(answer_column), answer_column, numbers=True)
            reference = read_text(row.get(reference_column), reference_column, numbers=True)
            options = _read_options(row)
        except DataError as error:
            raise DataError(f"{rows.source}, {rows.locate(index)}: {error}") from error
        comparison = compare_with_reference(extract_answer(answer) or answer, reference, options)
        pairs.append(AnswerPair(rows.locate(index), answer, reference, comparison))
    return pairs


def _read_options(row: Mapping[str, Any]) -> list[str] | None:
    value: object = row.get(OPTIONS_COLUMN)
    if value is None:
        return None
    if isinstance(value, str) and value.lstrip().startswith("["):  # a cell of a CSV file
        try:
            value = json.loads(value)
        except ValueError as error:
            raise DataError(f"{OPTIONS_COLUMN} is no JSON list of texts ({error}); fix it") from error
    if not isinstance(value, list | tuple):
        raise DataError(f"{OPTIONS_COLUMN} is a {type(value).__name__}; it must be a list of texts")
    return [read_text(option, OPTIONS_COLUMN, numbers=True) for option in cast("Sequence[object]", value)]


def format_pairs(pairs: Sequence[AnswerPair]) -> str:
    """Write one line for each pair: equal or not, by which rule, and why not; then how many were what."""
    lines = [
        f"{pair.where:<8} {'equal' if pair.comparison.equal else 'differs':<8} {pair.comparison.rule:<15} "
        f"{_show(pair.answer)}  |  {_show(pair.reference)}"
        + (f"  ({pair.comparison.why})" if pair.comparison.why else "")
        for pair in pairs
    ]
    compared = [pair.comparison for pair in pairs]
    rules = Counter(comparison.rule for comparison in compared)
    return "\n".join(
        [
            *lines,
            "",
            f"{sum(comparison.equal for comparison in compared)} of {len(pairs)} answers are right",
            f"rules               {', '.join(f'{number} by {rule}' for rule, number in rules.most_common())}",
            f"unreadable answers  {sum(not comparison.answer_read for comparison in compared)}",
            f"unreadable references {sum(not comparison.reference_read for comparison in compared)}",
        ]
    )


def _show(text: str) -> str:
    return textwrap.shorten(text, _WIDTH, placeholder=" ...") or repr(text)
