"""A protocol whose findings are rows: what it does, how rows become numbers, and how these are shown.

One file defines one such protocol, and a line in `vapo.diagnosis.protocols` makes it known. Rows are kept between
calls, written as a table, and shown in the inspector by the fields of their type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from vapo.diagnosis.estimates import Estimate
from vapo.diagnosis.findings import Point, QuestionFindings
from vapo.diagnosis.other_images import OtherImages
from vapo.diagnosis.question_measures import Measure
from vapo.diagnosis.responses import Response
from vapo.diagnosis.settings import DiagnosisSettings
from vapo.models.diagnosed_model import Ability, DiagnosedModel

Numbers = Mapping[str, "tuple[Point, ...] | Estimate"]
"""What rows come to, by measure: points of a curve, or one number."""


class Find(Protocol):
    """Put a model through the protocol."""

    def __call__(
        self,
        diagnosed_model: DiagnosedModel,
        responses: Sequence[Response],
        settings: DiagnosisSettings,
        other_images: OtherImages,
    ) -> Sequence[tuple[Any, ...] | None]:
        """Return the rows of each response; none of a response that cannot be taken through it."""
        ...


@dataclass(frozen=True, slots=True)
class Chart:
    """A curve of the report.

    Attributes:
        key: name in files; it begins with a word of the protocol's title, in lower case.
        short: what a switch between the protocol's curves calls it.
        title, meaning, x_label, y_label: words on it; values are shares unless `y_label` names nats.
        lines: names of measures, and what each line is called.
        reference: a level to compare with, and what it stands for; None for none.
    """

    key: str
    short: str
    title: str
    meaning: str
    x_label: str
    y_label: str
    lines: Mapping[str, str]
    reference: tuple[float, str] | None = None


@dataclass(frozen=True, slots=True)
class RowProtocol:
    """A protocol, whole.

    Attributes:
        name: by which it is asked for.
        title: what reports call it.
        needs: what a model must be able to do.
        row_type: a frozen dataclass of plain values: text, numbers, truth values, or None.
        find: does it.
        sum_up: numbers of one model, over the questions that have rows.
        charts: curves, the first shown and the others behind a switch.
        phrase: sentences of the conclusion.
        measures: numbers of one question by which models are compared.
        needs_claims: whether it asks claims, so that data without any is not taken through it.
        by_default: whether it is done where no protocols are named.
    """

    name: str
    title: str
    needs: Ability
    row_type: type[Any]
    find: Find
    sum_up: Callable[[Sequence[QuestionFindings], DiagnosisSettings], Numbers]
    charts: tuple[Chart, ...]
    phrase: Callable[[Numbers], tuple[str, ...]]
    measures: Mapping[str, Measure] = field(default_factory=dict)
    needs_claims: bool = False
    by_default: bool = True
