"""What the demo comes to, in sentences, chosen from the intervals by fixed rules.

A difference is named as one only if its 95 % interval leaves out 0, and of fewer than `FEWEST` questions nothing is
said. Intervals are for each sentence alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from vapo.diagnosis.estimate_words import FEWEST, format_p_value, format_percent, format_points, is_clear
from vapo.lab.demo.paired import EARLY_ANSWERS, LATE_ANSWERS, LATE_CLAIMS, Row

ONE_SEED = (
    "This is one seed. The intervals say how exactly these models were measured, on these questions; they do not say "
    "what another seed would give, and late answers differ much between seeds: docs/evidence.md has 25 of them."
)


def phrase_demo(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the sentences, the one that answers the demo's question first."""
    by_name = {row.measure: row for row in rows}
    return (
        _phrase_late(by_name[LATE_ANSWERS]),
        _phrase_changes(by_name[LATE_ANSWERS]),
        _phrase_all("Questions that need none (early ones) answered right", by_name[EARLY_ANSWERS]),
        _phrase_all("Claims judged right in the last quarter of the response", by_name[LATE_CLAIMS]),
        ONE_SEED,
    )


def _phrase_late(row: Row) -> str:
    difference = row.difference
    if row.grpo is None or row.vapo is None or difference is None:
        return "No late question was asked: give more --questions."
    if difference.num_questions < FEWEST:
        return f"{difference.num_questions} late questions are too few to tell the two models apart."
    numbers = f"{format_percent(row.vapo)}, GRPO's {format_percent(row.grpo)} ({format_points(difference)})"
    if not is_clear(difference):
        said = f"the two models cannot be told apart on those that need one: VAPO's answers {numbers}"
    else:
        said = f"VAPO's model answers {'more' if difference.value > 0 else 'fewer'} of those that need one: {numbers}"
    return f"Trained on questions that need no late look, {said}."


def _phrase_changes(row: Row) -> str:
    if row.before is None or row.grpo_change is None or row.vapo_change is None:
        return ""
    return (
        f"Before training it was {format_percent(row.before)}: GRPO changed it by "
        f"{format_points(row.grpo_change)}{format_p_value(row.grpo_change)}, VAPO by "
        f"{format_points(row.vapo_change)}{format_p_value(row.vapo_change)}."
    )


def _phrase_all(what: str, row: Row) -> str:
    if row.before is None or row.grpo is None or row.vapo is None or row.difference is None:
        return f"{what}: none was asked."
    return (
        f"{what}: {format_percent(row.before)} before, {format_percent(row.grpo)} after GRPO, "
        f"{format_percent(row.vapo)} after VAPO; VAPO less GRPO is {format_points(row.difference)}"
        f"{format_p_value(row.difference)}."
    )
