"""What the page's inspector shows: each question with the responses that models wrote on it, as plain values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import astuple, fields
from typing import Any

from vapo.diagnosis.findings import Diagnosis, ProbedClaim, QuestionFindings
from vapo.diagnosis.image_looks import GROUPS, Look
from vapo.diagnosis.page.numbers import scale_to_integers, shorten
from vapo.diagnosis.protocols import ROW_PROTOCOLS
from vapo.diagnosis.recovery import is_recoverable

PER_UNIT = 1000
"""Attention and sensitivity are sent in thousandths, as integers."""


def describe_questions(diagnosis: Diagnosis) -> list[dict[str, Any]]:
    """Return the questions in the order of the first model, each with one response per model, None where there is
    none.

    Models are matched by the row's id. An id that occurs several times is matched in the order of its occurrence.
    """
    places: dict[tuple[str, int], dict[int, QuestionFindings]] = {}
    for number, model in enumerate(diagnosis.models):
        seen: dict[str, int] = defaultdict(int)
        for findings in model.questions:
            place = (findings.sample_id, seen[findings.sample_id])
            places.setdefault(place, {})[number] = findings
            seen[findings.sample_id] += 1
    questions: list[dict[str, Any]] = []
    for (sample_id, _), found in places.items():
        first = next(iter(found.values()))
        responses = [_describe_response(found[k]) if k in found else None for k in range(len(diagnosis.models))]
        questions.append(
            {"id": sample_id, "question": first.question, "reference": first.reference, "responses": responses}
        )
    return questions


def _describe_response(findings: QuestionFindings) -> dict[str, Any]:
    early, cause, attention, sensitivity = findings.early, findings.cause, findings.attention, findings.sensitivity
    return {
        "tokens": list(findings.token_texts),
        "thinking": list(findings.thinking),
        "answer": findings.answer,
        "right": findings.right,
        "finished": findings.finished,
        "notes": list(findings.notes),
        "recoverable": is_recoverable(findings),
        "early": early and [[shorten(cut.depth), cut.index, cut.answer, cut.right] for cut in early],
        "claims": findings.probed and _describe_claims(findings.probed),
        "attention": attention and scale_to_integers(attention.by_token, PER_UNIT),
        "sensitivity": sensitivity and scale_to_integers(sensitivity.by_token, PER_UNIT),
        "remedied": findings.remedied
        and [
            {
                "remedy": again.remedy,
                "answer": again.answer,
                "right": again.right,
                "text": again.text,
                "attention": shorten(again.attention),
            }
            for again in findings.remedied
        ],
        "category": cause and (cause.category or cause.truth),
        "truth": cause and cause.truth,
        "votes": cause and list(cause.votes),
        "maps": _describe_maps(findings.rows.get("looks") or ()),
        "tables": [
            _describe_rows(ROW_PROTOCOLS[name].title, shown)
            for name, rows in findings.rows.items()
            if (shown := [row for row in rows if not _is_map(row)])
        ],
    }


def _is_map(row: Any) -> bool:
    return isinstance(row, Look) and row.what in GROUPS


def _describe_maps(rows: Sequence[Look]) -> list[list[Any]]:
    """Return each stretch that has maps: its first token, the one behind its last, rows, columns, and its maps.

    A map is the attention on the image, and a hexadecimal digit for each cell.
    """
    stretches: dict[tuple[int, int], list[Any]] = {}
    for row in filter(_is_map, rows):
        stretch = stretches.setdefault((row.index, row.stop), [row.index, row.stop, row.rows, row.columns, {}])
        stretch[-1][row.what] = [shorten(row.value), row.cells]
    return list(stretches.values())


def _describe_rows(title: str, rows: Sequence[Any]) -> dict[str, Any]:
    names = [field.name for field in fields(rows[0])]
    cells = [[shorten(value) if isinstance(value, float) else value for value in astuple(row)] for row in rows]
    return {"title": title, "columns": names, "rows": cells}


def _describe_claims(probed: Sequence[ProbedClaim]) -> list[dict[str, Any]]:
    """Bring the views of one claim at one place together."""
    rows: dict[tuple[int, str, bool], dict[str, Any]] = {}
    for probe in probed:
        row = rows.setdefault(
            (probe.index, probe.claim, probe.is_true),
            {
                "depth": shorten(probe.depth),
                "index": probe.index,
                "claim": probe.claim,
                "is_true": probe.is_true,
                "views": {},
            },
        )
        row["views"][probe.view] = [probe.correct, shorten(probe.p_true, 3)]
    return sorted(rows.values(), key=lambda row: row["index"])
