"""The report on two models as files: one page that opens offline, and all its numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from vapo.atomic_files import write_atomically
from vapo.diagnosis.diagnose import SampleImages
from vapo.diagnosis.findings import Diagnosis
from vapo.diagnosis.page.filling import fill_page
from vapo.diagnosis.page.frame import Frame
from vapo.diagnosis.page.numbers import list_estimate, shorten
from vapo.diagnosis.page.responses import describe_questions
from vapo.diagnosis.page.summary import describe_diagnosis, show_setting
from vapo.diagnosis.tables import to_plain
from vapo.evaluation.report.verdicts import SUITES, Verdict, compare_findings, compare_suite, judge_aspect
from vapo.evaluation.suites.answers import Answer
from vapo.types import Sample
from vapo.versions import OWN

PAGE, NUMBERS = "report.html", "report.json"
"""Files in the report's folder."""


@dataclass(frozen=True, slots=True)
class Report:
    """Two models side by side.

    Attributes:
        models: their names; changes are the second's numbers less the first's.
        verdicts: on reasoning and on perception.
        diagnosis: of both, on own data; None if none was asked for.
        settings: what the answers to a suite depend on; those of the diagnosis are its own.
    """

    models: tuple[str, str]
    verdicts: tuple[Verdict, ...]
    diagnosis: Diagnosis | None
    settings: Mapping[str, Any]


def make_report(
    models: Sequence[str],
    *,
    answers: Sequence[Sequence[Answer]] | None = None,
    diagnosis: Diagnosis | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Report:
    """Compare two models on all that was measured of them.

    Args:
        models: their names.
        answers: of each to a suite; None if they were asked none.
        diagnosis: of both, in the same order; None if there is none.
        settings: what the answers depend on.
        seed: of the resampling.

    Raises:
        DataError: the two were asked different questions of a suite, or graded differently.
    """
    first, second = models
    verdicts: list[Verdict] = []
    for aspect in SUITES:
        published = compare_suite(aspect, *answers, seed=seed) if answers is not None else []
        own = compare_findings(aspect, diagnosis) if diagnosis is not None else []
        verdicts.append(judge_aspect(aspect, [published, own]))
    return Report((first, second), tuple(verdicts), diagnosis, dict(settings or {}))


def write_report(report: Report, samples: Sequence[Sample], out: Path) -> None:
    """Write `report.html` and `report.json` into a folder that exists; `samples` give the diagnosis's images."""
    # The findings on each question are in the diagnosis's own folder.
    diagnosis = report.diagnosis and replace(
        report.diagnosis, models=tuple(replace(model, questions=()) for model in report.diagnosis.models)
    )
    numbers = json.dumps(to_plain(replace(report, diagnosis=diagnosis)), indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(out / NUMBERS, numbers + "\n")
    write_atomically(out / PAGE, render_report(report, samples))


def render_report(report: Report, samples: Sequence[Sample]) -> str:
    """Return the page as one HTML file that opens offline."""
    body, script, style = (
        files("vapo.evaluation.report").joinpath(name).read_text(encoding="utf-8")
        for name in ("report.html", "report.js", "report.css")
    )
    questions = describe_questions(report.diagnosis) if report.diagnosis is not None else []
    return fill_page(Frame("vapo report", body, (script,), style), _describe(report), questions, SampleImages(samples))


def _describe(report: Report) -> dict[str, Any]:
    """Return what stands above the inspector as values that JSON can carry."""
    own = report.diagnosis.settings if report.diagnosis is not None else {}
    return {
        "version": OWN,
        "models": [{"name": name} for name in report.models],
        "verdicts": [_describe_verdict(verdict) for verdict in report.verdicts],
        "diagnosis": describe_diagnosis(report.diagnosis) if report.diagnosis is not None else None,
        "settings": [
            [f"{name}, {where}", show_setting(value)]
            for where, settings in (("suite", report.settings), ("own data", own))
            for name, value in settings.items()
        ],
    }


def _describe_verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "aspect": verdict.aspect,
        "direction": verdict.direction,
        "sentences": verdict.sentences,
        "changes": [
            {
                "source": one.source,
                "what": one.what,
                "first": shorten(one.first),
                "second": shorten(one.second),
                "change": list_estimate(one.change),
                "direction": one.direction,
                "num_questions": one.num_questions,
            }
            for one in verdict.changes
        ],
    }
