"""What the demo comes to, in sentences, chosen from the intervals by fixed rules.

A difference is named as one only if its 95 % interval leaves out 0, and of fewer than `FEWEST` questions nothing is
said. Intervals are for each sentence alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from vapo.diagnosis.conclusion import FEWEST
from vapo.diagnosis.estimate_words import format_p_value, format_percent, format_points, is_clear
from vapo.diagnosis.estimates import Estimate
from vapo.lab.demo.paired import ANSWERS, LATE, LENGTH, Row

ONE_SEED = "This is one seed: intervals say how exactly these models were measured, not what another seed would give."


def phrase_demo(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the sentences, the one that answers the demo's question first."""
    by_name = {row.measure: row for row in rows}
    late, answers, length = by_name[LATE], by_name[ANSWERS], by_name[LENGTH]
    return (_phrase_late(late), _phrase_changes(late), _phrase_answers(answers), _phrase_length(length), ONE_SEED)


def _phrase_late(row: Row) -> str:
    difference = row.difference
    if row.grpo is None or row.vapo is None or difference is None:
        return "No claim was asked in the last quarter of a response: the responses have too few logical boundaries."
    if difference.num_questions < FEWEST:
        return f"{difference.num_questions} questions are too few to tell the two models apart."
    numbers = f"judges {format_percent(row.vapo)} of the claims right, GRPO's {format_percent(row.grpo)}"
    if not is_clear(difference):
        said = "no difference in perception can be told from chance: VAPO's model"
    else:
        said = f"VAPO's model sees {'more' if difference.value > 0 else 'less'} than GRPO's: it"
    return f"In the last quarter of the response {said} {numbers} ({format_points(difference)})."


def _phrase_changes(row: Row) -> str:
    if row.before is None or row.grpo_change is None or row.vapo_change is None:
        return ""
    return (
        f"Before training it was {format_percent(row.before)}: GRPO changed it by "
        f"{_describe_change(row.grpo_change)}, VAPO by {_describe_change(row.vapo_change)}."
    )


def _phrase_answers(row: Row) -> str:
    before, grpo, vapo, difference = _all(row.before, row.grpo, row.vapo, row.difference)
    return (
        f"Right answers: {format_percent(before)} before, {format_percent(grpo)} after GRPO, {format_percent(vapo)} "
        f"after VAPO; VAPO less GRPO is {_describe_change(difference)}."
    )


def _phrase_length(row: Row) -> str:
    before, grpo, vapo = _all(row.before, row.grpo, row.vapo)
    return f"Tokens per response: {before.value:.0f} before, {grpo.value:.0f} after GRPO, {vapo.value:.0f} after VAPO."


def _describe_change(change: Estimate) -> str:
    return f"{format_points(change)}{format_p_value(change)}"


def _all(*estimates: Estimate | None) -> list[Estimate]:
    known = [estimate for estimate in estimates if estimate is not None]
    assert len(known) == len(estimates), "each model wrote a response on some question, the same for all"
    return known
