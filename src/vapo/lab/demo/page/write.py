"""Write the page of the demo, with the curves, tables and inspector of a diagnosis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from typing import Any

from PIL import Image

from vapo.core.perception import NUM_QUARTERS
from vapo.diagnosis.curves import Curve, list_curves
from vapo.diagnosis.findings import Diagnosis
from vapo.diagnosis.page.filling import MAX_BYTES, fill_page
from vapo.diagnosis.page.frame import Frame
from vapo.diagnosis.page.numbers import list_estimate, shorten
from vapo.diagnosis.page.responses import describe_questions
from vapo.diagnosis.page.summary import describe_curve, show_setting
from vapo.diagnosis.question_measures import claims_right
from vapo.lab.demo.outcome import Outcome
from vapo.lab.demo.paired import Row
from vapo.lab.judge import count_looks
from vapo.lab.questions import is_late
from vapo.versions import OWN

_MEANINGS = {
    "early": "The response is cut and the model must answer with what it has: at 0 % without a response, at 100 % "
    "with all.",
    "perception": "Claims about the image, asked before the response and along it, the same ones at all depths.",
}


def render_demo(outcome: Outcome, images: Mapping[str, Sequence[Image.Image]], max_bytes: int = MAX_BYTES) -> str:
    """Return the page as one HTML file that opens offline, of at most `max_bytes`.

    Args:
        outcome: what to show.
        images: of each question, by the row's id.
        max_bytes: responses and images that do not fit are left out, and the page says how many.
    """
    diagnosis = Diagnosis("lab", {}, outcome.models, (), ())
    body, script, style = (
        files("vapo.lab.demo.page").joinpath(name).read_text(encoding="utf-8")
        for name in ("demo.html", "demo.js", "demo.css")
    )
    frame = Frame("vapo demo", body, (script,), style)
    questions = describe_questions(diagnosis)
    for question, *found in zip(questions, *(model.questions for model in outcome.models), strict=True):
        question["is_late"] = is_late(found[0].question)
        question["looks"] = [count_looks("".join(findings.token_texts)) for findings in found]
        question["late"] = [shorten(claims_right(findings, "image", quarter=NUM_QUARTERS)) for findings in found]
    return fill_page(frame, _describe(outcome, diagnosis), questions, images, max_bytes)


def _describe(outcome: Outcome, diagnosis: Diagnosis) -> dict[str, Any]:
    """Return what stands above the inspector as values that JSON can carry."""
    settings = outcome.settings
    return {
        "version": OWN,
        "steps": settings["steps"],
        "seed": settings["seed"],
        "rollouts": settings["per_device_train_batch_size"],
        "num_questions": len(outcome.models[0].questions),
        "models": [{"name": model.name} for model in outcome.models],
        "conclusion": [sentence for sentence in outcome.conclusion if sentence],
        "learning": [describe_curve(curve) for curve in outcome.learning],
        "by_depth": [describe_curve(curve) for curve in _draw_by_depth(diagnosis)],
        "rows": [_describe_row(row) for row in outcome.rows],
        "settings": [[name, show_setting(value)] for name, value in settings.items()],
    }


def _draw_by_depth(diagnosis: Diagnosis) -> list[Curve]:
    """Return the curves over depth; the image is the only view, so lines need no name but the model's."""
    return [
        replace(curve, meaning=_MEANINGS[curve.key], lines=tuple(replace(line, variant="") for line in curve.lines))
        for curve in list_curves(diagnosis)
        if curve.key in _MEANINGS
    ]


def _describe_row(row: Row) -> dict[str, Any]:
    return {
        "measure": row.measure,
        "is_share": row.is_share,
        "models": [list_estimate(estimate) for estimate in (row.before, row.grpo, row.vapo)],
        "changes": [list_estimate(estimate) for estimate in (row.grpo_change, row.vapo_change)],
        "difference": list_estimate(row.difference),
    }
