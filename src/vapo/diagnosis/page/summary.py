"""What the page shows above its inspector, as plain values: conclusions, curves, tables, settings."""

from __future__ import annotations

from typing import Any

from vapo.diagnosis.absences import explain_absence
from vapo.diagnosis.curves import Curve, list_curves
from vapo.diagnosis.findings import Category, Diagnosis, ModelFindings
from vapo.diagnosis.page.numbers import list_estimate, list_points, shorten
from vapo.diagnosis.protocols import ROW_PROTOCOLS
from vapo.versions import OWN

CATEGORIES: tuple[Category, ...] = ("perception", "logical", "knowledge", "other")


def describe_diagnosis(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return the summary as values that JSON can carry; each estimate is [value, low, high, questions]."""
    curves = list_curves(diagnosis)
    return {
        "version": OWN,
        "data": diagnosis.data,
        "num_questions": max(len(model.questions) for model in diagnosis.models),
        "models": [_describe_model(model) for model in diagnosis.models],
        "curves": [describe_curve(curve) for curve in curves],
        "curve_groups": [
            [[chart.key, chart.short] for chart in protocol.charts if any(curve.key == chart.key for curve in curves)]
            for protocol in ROW_PROTOCOLS.values()
        ],
        "remedies": _describe_remedies(diagnosis),
        "categories": _describe_categories(diagnosis),
        "confusion": _describe_confusion(diagnosis),
        "heads": _describe_heads(diagnosis),
        "differences": [
            {"name": row.name, "measure": row.measure, "difference": list_estimate(row.difference)}
            for row in diagnosis.differences
        ],
        "left_out": list(diagnosis.left_out),
        "settings": [[name, show_setting(value)] for name, value in diagnosis.settings.items()],
    }


def _describe_model(model: ModelFindings) -> dict[str, Any]:
    recovery = model.recovery
    return {
        "name": model.name,
        "conclusion": list(model.conclusion),
        "accuracy": list_estimate(model.accuracy),
        "num_tokens": list_estimate(model.num_tokens),
        "recovery": recovery
        and {
            "cut": shorten(recovery.cut),
            "avoided": list_estimate(recovery.avoided),
            "lost": list_estimate(recovery.lost),
            "change": list_estimate(recovery.change),
            "anywhere": list_estimate(recovery.anywhere),
            "lost_anywhere": list_estimate(recovery.lost_anywhere),
        },
        "dependent_share": list_estimate(model.dependent_share),
        "dependence_threshold": shorten(model.dependence_threshold),
    }


def describe_curve(curve: Curve) -> dict[str, Any]:
    """Return a curve as values that JSON can carry; each point is [at, value, low, high, questions]."""
    return {
        "key": curve.key,
        "title": curve.title,
        "meaning": curve.meaning,
        "x_label": curve.x_label,
        "x_word": curve.x_word,
        "y_label": curve.y_label,
        "x_is_share": curve.x_is_share,
        "y_is_share": curve.y_is_share,
        "reference": curve.reference,
        "absent": curve.absent,
        "lines": [
            {"model": line.model, "variant": line.variant, "points": list_points(line.points)} for line in curve.lines
        ],
    }


def _describe_remedies(diagnosis: Diagnosis) -> dict[str, Any]:
    rows = [
        {
            "model": number,
            "remedy": effect.remedy,
            "accuracy": list_estimate(effect.accuracy),
            "gain": list_estimate(effect.gain),
            "attention": list_estimate(effect.attention),
        }
        for number, model in enumerate(diagnosis.models)
        for effect in model.remedies or ()
    ]
    missing = [model for model in diagnosis.models if model.remedies is None]
    return {"rows": rows, "absent": explain_absence("remedies", diagnosis, missing)}


def _describe_categories(diagnosis: Diagnosis) -> dict[str, Any]:
    rows = [
        {
            "model": number,
            "category": part.category,
            "share": list_estimate(part.share),
            "recoverable": list_estimate(part.recoverable),
        }
        for number, model in enumerate(diagnosis.models)
        for part in model.categories or ()
    ]
    missing = [model for model in diagnosis.models if model.categories is None]
    return {"rows": rows, "absent": explain_absence("categories", diagnosis, missing)}


def _describe_confusion(diagnosis: Diagnosis) -> list[dict[str, Any]]:
    tables: list[dict[str, Any]] = []
    for number, model in enumerate(diagnosis.models):
        if model.confusion is not None:
            counts = [[model.confusion.get(row, {}).get(column, 0) for column in CATEGORIES] for row in CATEGORIES]
            agreement = list_estimate(model.judge_agreement)
            tables.append({"model": number, "names": CATEGORIES, "counts": counts, "agreement": agreement})
    return tables


def _describe_heads(diagnosis: Diagnosis) -> dict[str, Any]:
    maps = [
        {"model": number, "shares": [[shorten(share, 3) for share in layer] for layer in model.attention_by_head]}
        for number, model in enumerate(diagnosis.models)
        if model.attention_by_head
    ]
    missing = [model for model in diagnosis.models if not model.attention_by_head]
    return {"maps": maps, "absent": explain_absence("attention_by_head", diagnosis, missing)}


def show_setting(value: object) -> str:
    """Return a setting's value as the page shows it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(show_setting(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{name} = {show_setting(item)}" for name, item in value.items())
    return str(value)
