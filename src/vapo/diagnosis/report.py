"""An evaluation as text that reads well in a terminal."""

from __future__ import annotations

from vapo.core.text_tables import align
from vapo.diagnosis.estimates import Estimate
from vapo.diagnosis.perception import Perception, PerceptionAt
from vapo.diagnosis.summary import Evaluation

_WIDTHS = (28, 9, 17, 10, 8, 11)


def format_evaluation(evaluation: Evaluation) -> str:
    """Return a table of all numbers with their 95 % intervals, and notes on what was left out."""
    count = len(evaluation.rows)
    lines = [
        f"{evaluation.model} on {evaluation.data}: {_count(count, 'question')}",
        "",
        align(("", "", "95 % interval"), _WIDTHS),
        *(align(_write(name, share), _WIDTHS) for name, share in list_shares(evaluation)),
        align(_write("completion length, tokens", evaluation.num_tokens, scale=1), _WIDTHS),
        "",
    ]
    if evaluation.perception is not None:
        lines += [*_format_perception(evaluation.perception), ""]
    return "\n".join([*lines, *_notes(evaluation)]).rstrip()


def list_shares(evaluation: Evaluation) -> list[tuple[str, Estimate]]:
    """Return what share of the questions, or of their completions, is of which kind, by name."""
    settings = evaluation.settings
    shares = [
        ("right answers, greedy", evaluation.accuracy),
        ("wrong answers", evaluation.wrong),
        ("no answer in \\boxed{}", evaluation.unanswered),
    ]
    if evaluation.average is not None:
        name = f"avg@{settings['num_completions']} at temperature {settings['temperature']:g}"
        shares.append((name, evaluation.average))
    return [
        *shares,
        ("response format kept", evaluation.format_rate),
        (f"cut off at {settings['max_completion_tokens']} tokens", evaluation.truncated),
    ]


def _format_perception(perception: Perception) -> list[str]:
    lines = [align(("claims judged right", "", "95 % interval", "P(label)", "claims", "questions"), _WIDTHS)]
    for part in (perception.before, *perception.quarters, perception.along):
        lines.append(align((*_write(part.where, part.accuracy), *_write_claims(part)), _WIDTHS))
    change = perception.last_minus_before
    if change is not None:
        cells = (*_write("last quarter - before", change, sign=True), "", "", change.num_questions)
        lines.append(align(cells, _WIDTHS))
    lines += ["", align(("verdicts along the response", "", "95 % interval"), _WIDTHS)]
    named = {
        '"yes"': perception.along.yes_rate,
        "true claims judged right": perception.along.accuracy_true,
        "false claims judged right": perception.along.accuracy_false,
    }
    return [*lines, *(align(_write(name, share), _WIDTHS) for name, share in named.items())]


def _write_claims(part: PerceptionAt) -> tuple[str, int, int]:
    if part.p_label is None:
        return "", 0, 0
    return f"{100 * part.p_label.value:.1f} %", part.num_claims, part.p_label.num_questions


def _write(name: str, estimate: Estimate | None, *, scale: float = 100, sign: bool = False) -> tuple[str, str, str]:
    if estimate is None:
        return name, "-", ""
    unit = " %" if scale == 100 else "  "
    form = "+.1f" if sign else ".1f"
    value = f"{scale * estimate.value:{form}}{unit}"
    interval = "all alike" if estimate.num_questions > 1 else "one question"
    if estimate.low is not None and estimate.high is not None:
        interval = f"{scale * estimate.low:{form}} to {scale * estimate.high:{form}}"
    return name, value, interval


def _notes(evaluation: Evaluation) -> list[str]:
    settings, perception = evaluation.settings, evaluation.perception
    notes: list[str] = []
    if evaluation.num_skipped_rows:
        notes.append(f"{_count(evaluation.num_skipped_rows, 'row')} of the data could not be used and was left out.")
    if settings["num_anchors"] == 0:
        notes.append("Perception was not measured (num_anchors = 0).")
    elif perception is None:
        notes.append("Perception was left out: the data has no claims.")
    else:
        if perception.num_without_claims:
            notes.append(f"{_count(perception.num_without_claims, 'question')} had no claims to ask.")
        if perception.num_missing_anchors:
            asked = settings["num_anchors"] * (len(evaluation.rows) - perception.num_without_claims)
            notes.append(
                f"{perception.num_missing_anchors} of {asked} anchors had no logical boundary left in their response."
            )
        notes.append("Perception is averaged per question first; its intervals are resampled over questions.")
        change = perception.last_minus_before
        asked_before = perception.before.accuracy
        if change is not None and asked_before is not None and change.num_questions < asked_before.num_questions:
            notes.append(
                f"Last quarter - before is taken on the {_count(change.num_questions, 'question')} that have both, so "
                "it is not the difference of the two lines."
            )
    return notes


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
