"""The curves of a diagnosis, ready to draw: what they are called, their axes, and one line per model and view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vapo.diagnosis.absences import explain_absence
from vapo.diagnosis.findings import Diagnosis, ModelFindings, Point
from vapo.diagnosis.protocols import ROW_PROTOCOLS
from vapo.diagnosis.row_protocol import Chart
from vapo.models.diagnosed_model import View

VIEW_NAMES: dict[View, str] = {"image": "image", "blank": "blank image", "none": "no image"}


@dataclass(frozen=True, slots=True)
class Line:
    """Points of one model, `Diagnosis.models[model]`; `variant` tells lines of one model apart, "" if there is one."""

    model: int
    variant: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """A chart of lines over depth, or over generated tokens.

    Attributes:
        key: short name, for files and switches.
        title: what is shown.
        meaning: how to read it, in a sentence.
        x_label, y_label: axes, with units.
        x_is_share, y_is_share: whether an axis is a share in [0, 1], to be shown in per cent.
        reference: a level to compare with, and what it stands for; None for none.
        lines: at least one, unless `absent` says why there is none.
        absent: why lines are missing, in sentences; "" if none are.
        x_word: what a place on an axis that is no share is called, before its number.
    """

    key: str
    title: str
    meaning: str
    x_label: str
    y_label: str
    x_is_share: bool
    y_is_share: bool
    reference: tuple[float, str] | None
    lines: tuple[Line, ...]
    absent: str
    x_word: str = "token"


_Points = Sequence[Point] | None


def list_curves(diagnosis: Diagnosis) -> tuple[Curve, ...]:
    """Return all curves, those of protocols that were left out included: they have no lines and say why."""
    early, response, step = "share of the response kept", "position in the response", "generated tokens"
    guess = (0.5, "guessing")

    def curve(key: str, title: str, meaning: str, x: str, y: str, lines: list[Line], reference=None) -> Curve:
        missing = [
            model for number, model in enumerate(diagnosis.models) if all(line.model != number for line in lines)
        ]
        absent = explain_absence(key, diagnosis, missing)
        return Curve(key, title, meaning, x, y, x != step, "nats" not in y, reference, tuple(lines), absent)

    def of(get: Callable[[ModelFindings], _Points]) -> list[Line]:
        found = [(number, get(model)) for number, model in enumerate(diagnosis.models)]
        return [Line(number, "", tuple(points)) for number, points in found if points]

    def by_view(get: Callable[[ModelFindings], dict[View, tuple[Point, ...]] | None]) -> list[Line]:
        return [
            Line(number, VIEW_NAMES[view], views[view])
            for number, model in enumerate(diagnosis.models)
            if (views := get(model))
            for view in VIEW_NAMES
            if views.get(view)
        ]

    return (
        curve(
            "early",
            "Right answers, stopped early",
            "The response is cut and the model must answer with what it has; 0 % is the direct answer.",
            early,
            "right answers",
            of(lambda model: model.early),
        ),
        curve(
            "perception",
            "Claims judged right",
            "Claims about the image, asked along the response: what the image adds is the gap to the other two views.",
            response,
            "claims judged right",
            by_view(lambda model: model.perception),
            guess,
        ),
        curve(
            "p_label",
            "Probability of the right verdict",
            "As claims judged right, but by how sure the model is of the right verdict.",
            response,
            "probability of the right verdict",
            by_view(lambda model: model.p_label),
            guess,
        ),
        curve(
            "yes_rate",
            "Verdicts that are yes",
            "Of claims half of which are true: a model that always says yes judges every true claim right.",
            response,
            "verdicts that are yes",
            by_view(lambda model: model.yes_rate),
        ),
        curve(
            "claims_true",
            "True claims judged right",
            "Claims judged right, the true ones alone: a model that always says yes is right on all of them.",
            response,
            "true claims judged right",
            by_view(lambda model: model.accuracy_true),
            guess,
        ),
        curve(
            "claims_false",
            "False claims judged right",
            "Claims judged right, the false ones alone: a model that always says yes is right on none.",
            response,
            "false claims judged right",
            by_view(lambda model: model.accuracy_false),
            guess,
        ),
        curve(
            "attention_by_depth",
            "Attention to the image",
            "Share of the attention that goes to image tokens, averaged over layers and heads.",
            response,
            "attention on image tokens",
            of(lambda model: model.attention_by_depth),
        ),
        curve(
            "attention_by_step",
            "Attention to the image, token by token",
            "Share of the attention that goes to image tokens, averaged over layers and heads.",
            step,
            "attention on image tokens",
            of(lambda model: model.attention_by_step),
        ),
        curve(
            "sensitivity",
            "Sensitivity to the image",
            "How far the next token's distribution moves when the image is masked: KL divergence.",
            response,
            "KL divergence, nats",
            of(lambda model: model.sensitivity),
        ),
        curve(
            "recovery",
            "Errors avoided and right answers lost at a cut",
            "Of the errors, how many are right if stopped there; of the right answers, how many are wrong there.",
            early,
            "share that turns",
            [
                Line(number, variant, points)
                for number, model in enumerate(diagnosis.models)
                if model.recovery
                for variant, points in (
                    ("errors, right there", model.recovery.by_cut),
                    ("right answers, wrong there", model.recovery.lost_by_cut),
                )
                if points
            ],
        ),
        *(
            curve(chart.key, chart.title, chart.meaning, chart.x_label, chart.y_label, lines, chart.reference)
            for protocol in ROW_PROTOCOLS.values()
            for chart in protocol.charts
            if (lines := _list_lines(chart, diagnosis.models))
        ),
    )


def _list_lines(chart: Chart, models: Sequence[ModelFindings]) -> list[Line]:
    """Return a protocol's lines; it has no curve where no model has one, as it can be left out on purpose."""
    return [
        Line(number, variant, points)
        for number, model in enumerate(models)
        for name, variant in chart.lines.items()
        if isinstance(points := model.numbers.get(name), tuple)
    ]
