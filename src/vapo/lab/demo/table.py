"""The demo's outcome as text for a terminal."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill

from vapo.core.text_tables import align
from vapo.diagnosis.estimates import Estimate
from vapo.lab.demo.outcome import PAGE, Outcome

_WIDTHS, _WIDTH = (40, 20, 20, 20, 20), 100


def format_outcome(outcome: Outcome, folder: Path) -> str:
    """Return the sentences, then one line per measure: before, GRPO, VAPO, and VAPO less GRPO; shares in per cent."""
    settings = outcome.settings
    heads = ("before", "GRPO", "VAPO", "VAPO - GRPO")
    lines = [*(fill(sentence, _WIDTH) for sentence in outcome.conclusion if sentence), ""]
    lines.append(align(("", *heads), _WIDTHS))
    for row in outcome.rows:
        name = f"{row.measure}, %" if row.is_share else row.measure
        scale = 100 if row.is_share else 1
        cells = [_write(estimate, scale) for estimate in (row.before, row.grpo, row.vapo)]
        cells.append(_write(row.difference, scale, sign="+"))
        lines.append(align((name, *cells), _WIDTHS))
    lines += [
        "",
        f"{settings['steps']} steps of {settings['per_device_train_batch_size']} rollouts, seed {settings['seed']}; "
        f"{len(outcome.models[0].questions)} held-out questions, 95 % intervals, differences paired by question",
        f"the page is {folder / PAGE}",
    ]
    return "\n".join(lines)


def _write(estimate: Estimate | None, scale: float, sign: str = "") -> str:
    if estimate is None:
        return "-"
    value = f"{scale * estimate.value:{sign}.1f}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{scale * estimate.low:{sign}.1f}, {scale * estimate.high:{sign}.1f}]"
