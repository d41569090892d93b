"""What a card tells of how good a model is: what was measured of it, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote as url

from vapo.claims.exchange.markdown import escape, write_table
from vapo.diagnosis.estimate_words import format_interval, format_percent, format_points
from vapo.diagnosis.estimates import Estimate
from vapo.diagnosis.report import list_shares
from vapo.diagnosis.summary import Evaluation
from vapo.export.measured import FoundDiagnosis
from vapo.export.origin import Origin
from vapo.export.provenance import NOT_RECORDED, find_trained_split, name_place

FIGURES = "figures"
"""Folder of the export that holds the curves of a diagnosis."""

_INTERVALS = "Brackets hold 95 % intervals over questions."


def write_evaluations(evaluations: Sequence[tuple[Evaluation, bool]], origin: Origin) -> str:
    """Return what `vapo evaluate` measured, and whether each is known to be of these weights, or of their data."""
    return "\n\n".join(_write_evaluation(*one, origin) for one in evaluations) or NOT_RECORDED


def write_diagnosis(diagnosis: FoundDiagnosis | None) -> str:
    """Return what `vapo diagnose` found: its conclusion, its main numbers, its curves."""
    if diagnosis is None:
        return NOT_RECORDED
    parts = [f"By `vapo diagnose`, on {escape(name_place(diagnosis.data))}. {_INTERVALS}"]
    for model in diagnosis.models:
        parts.append(f"### {escape(name_place(model.name))}")
        parts.append("\n".join(f"- {escape(sentence)}" for sentence in model.conclusion))
        parts.append(write_table(("", ""), [(words, _say(number)) for words, number in model.numbers]))
    parts += map(escape, diagnosis.left_out)
    parts += [f"![{escape(file.stem.replace('_', ' '))}]({FIGURES}/{url(file.name)})" for file in diagnosis.figures]
    return "\n\n".join(part for part in parts if part)


def _write_evaluation(evaluation: Evaluation, same_weights: bool, origin: Origin) -> str:
    rows = [(name, _say(share)) for name, share in list_shares(evaluation)]
    length = evaluation.num_tokens
    bounds = f" [{length.low:.1f}, {length.high:.1f}]" if length.low is not None and length.high is not None else ""
    rows.append(("completion length, tokens", f"{length.value:.1f}{bounds}"))
    if evaluation.perception is not None:
        found = evaluation.perception
        for part in (found.before, *found.quarters):
            if part.accuracy is not None:
                share = f"{_say(part.accuracy)} of {part.num_claims} claims"
                rows.append((f"claims judged right, {part.where}", share))
        if found.last_minus_before is not None:
            rows.append(("claims judged right, last quarter less before", format_points(found.last_minus_before)))
    name = escape(name_place(evaluation.model))
    whose = f"Its file calls the model {name}; whether it had these weights is not known."
    asked = f"{evaluation.accuracy.num_questions} questions of {escape(name_place(evaluation.data))}"
    source = f"By `vapo evaluate`, on {asked}. {'Measured on these weights.' if same_weights else whose} {_INTERVALS}"
    split = find_trained_split(origin, evaluation.data)
    if split is not None:
        source += (
            f" **The model was trained on this data set** (split {escape(split)}). Which rows of it were asked here "
            "is not recorded: if they are training rows, the figures say nothing of other questions."
        )
    return f"{source}\n\n{write_table(('', ''), rows)}"


def _say(share: Estimate) -> str:
    return f"{format_percent(share)}{format_interval(share)}"
