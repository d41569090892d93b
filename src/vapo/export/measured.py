"""What was measured of a model, read from what `vapo evaluate` and `vapo diagnose` left behind."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vapo.diagnosis.estimates import Estimate
from vapo.diagnosis.summary import Evaluation
from vapo.errors import DataError

_EVALUATION, _DIAGNOSIS, _SUMMARY = "evaluation.json", "diagnosis.json", "summary.csv"

_SINGLE = {
    "accuracy": "right answers, whole responses",
    "recoverable": "errors that were right at an earlier cut",
    "dependent_share": "tokens that depend on the image",
}
_CURVES = {
    "early": "right answers, cut",
    "perception_image": "claims judged right, with the image,",
    "perception_blank": "claims judged right, image masked,",
    "attention_by_depth": "share of attention on the image,",
}


@dataclass(frozen=True, slots=True)
class DiagnosedModel:
    """One model of a diagnosis: its name, what it comes to in sentences, and its main numbers."""

    name: str
    conclusion: tuple[str, ...]
    numbers: tuple[tuple[str, Estimate], ...]


@dataclass(frozen=True, slots=True)
class FoundDiagnosis:
    """What a diagnosis found.

    Attributes:
        data: what was asked.
        models: in its order.
        left_out: what was not measured, and why.
        figures: its curves as images, if they were drawn.
    """

    data: str
    models: tuple[DiagnosedModel, ...]
    left_out: tuple[str, ...]
    figures: tuple[Path, ...]


def read_evaluation(path: Path) -> Evaluation:
    """Read `evaluation.json`, or the folder that holds it; the rows stay where they are.

    Raises:
        DataError: there is none, or it is something else.
    """
    file = path / _EVALUATION if path.is_dir() else path
    try:
        return Evaluation.from_json(_read_json(file, "vapo evaluate MODEL --data DATA --out FOLDER"))
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{file} is no evaluation of vapo ({error!r}); give the {_EVALUATION} that it wrote"
        ) from error


def read_diagnosis(folder: Path) -> FoundDiagnosis:
    """Read the report's folder that `vapo diagnose` wrote.

    Raises:
        DataError: it is none.
    """
    how = "vapo diagnose MODEL --data DATA --out FOLDER --figures"
    values = _read_json(folder / _DIAGNOSIS, how)
    if not (folder / _SUMMARY).is_file():
        raise DataError(f"{folder} has no {_SUMMARY}; make the report anew: {how}")
    with (folder / _SUMMARY).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        models = tuple(
            DiagnosedModel(str(one["name"]), tuple(map(str, one["conclusion"])), _list_numbers(rows, str(one["name"])))
            for one in values["models"]
        )
        left_out = tuple(map(str, values["left_out"]))
        return FoundDiagnosis(str(values["data"]), models, left_out, tuple(sorted(folder.glob("figures/*.png"))))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder} holds no diagnosis of vapo ({error!r}); make it anew: {how}") from error


def _list_numbers(rows: list[dict[str, str]], model: str) -> tuple[tuple[str, Estimate], ...]:
    own = [row for row in rows if row["model"].lstrip("'") == model.lstrip("'")]
    found = [(words, row) for name, words in _SINGLE.items() for row in own if row["measure"] == name]
    for name, words in _CURVES.items():
        points = [row for row in own if row["measure"] == name]
        for row in (points[0], points[-1]) if len(points) > 1 else points:
            found.append((f"{words} at {100 * float(row['at']):.0f} % of the response", row))
    return tuple((words, _read_estimate(row)) for words, row in found)


def _read_estimate(row: Mapping[str, str]) -> Estimate:
    low, high = (float(row[bound]) if row[bound] else None for bound in ("low", "high"))
    return Estimate(float(row["value"]), low, high, int(row["num_questions"]))


def _read_json(file: Path, how: str) -> dict[str, Any]:
    if not file.is_file():
        raise DataError(f"there is no {file}; make it with `{how}`")
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{file} is not JSON ({error}); make it with `{how}`") from error
    if not isinstance(values, dict):
        raise DataError(f"{file} holds something else; make it with `{how}`")
    return values
