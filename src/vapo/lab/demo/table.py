"""The demo's outcome as text for a terminal."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill

from vapo.core.text_tables import align
from vapo.diagnosis.estimates import Estimate
from vapo.lab.demo.outcome import PAGE, Outcome
from vapo.lab.demo.paired import Row

MARK = "*"
"""Behind a difference that does not follow from the numbers beside it."""

_WIDTH = 100


def format_outcome(outcome: Outcome, folder: Path) -> str:
    """Return the sentences, then one line per measure: before, GRPO, VAPO, and VAPO less GRPO; shares in per cent."""
    settings = outcome.settings
    heads = ("before", "GRPO", "VAPO", "VAPO - GRPO")
    rows: list[tuple[str, ...]] = [("", *heads)]
    for row in outcome.rows:
        name = f"{row.measure}, %" if row.is_share else row.measure
        scale = 100 if row.is_share else 1
        cells = [_write(estimate, scale) for estimate in (row.before, row.grpo, row.vapo)]
        cells.append(_write(row.difference, scale, sign="+") + (MARK if is_paired_on_fewer(row) else ""))
        rows.append((name, *cells))
    widths = [max(map(len, column)) + 2 * (place > 0) for place, column in enumerate(zip(*rows, strict=True))]
    lines = [*(fill(sentence, _WIDTH) for sentence in outcome.conclusion if sentence), ""]
    lines += [align(row, widths) for row in rows]
    fewer = [
        f"{row.measure}: {row.difference.num_questions}"
        for row in outcome.rows
        if row.difference is not None and is_paired_on_fewer(row)
    ]
    if fewer:
        note = f"{MARK} on the questions on which both have the measure, fewer than one has: {', '.join(fewer)}"
        lines += ["", fill(note, _WIDTH)]
    lines += [
        "",
        f"{settings['steps']} steps of {settings['per_device_train_batch_size']} rollouts, seed {settings['seed']}; "
        f"{len(outcome.models[0].questions)} held-out questions, 95 % intervals, differences paired by question",
        f"the page is {folder / PAGE}",
    ]
    return "\n".join(lines)


def is_paired_on_fewer(row: Row) -> bool:
    """Return whether VAPO less GRPO is taken over fewer questions than one of the two has."""
    counts = [one.num_questions for one in (row.grpo, row.vapo) if one is not None]
    return row.difference is not None and row.difference.num_questions < max(counts)


def _write(estimate: Estimate | None, scale: float, sign: str = "") -> str:
    if estimate is None:
        return "-"
    value = f"{scale * estimate.value:{sign}.1f}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{scale * estimate.low:{sign}.1f}, {scale * estimate.high:{sign}.1f}]"
