"""Write the tables of docs/evidence.md and docs/mechanism.md from the rows in docs/evidence, and draw figures.

    python docs/write_evidence.py

The rows are what `python -m studies compare` and `mechanism` left behind.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from filled_tables import fill_tables

from studies.comparison.arms import COMPARED, GRPO, METHODS, START, VAPO, Arm
from studies.comparison.figures import draw_comparison
from studies.comparison.looks import pay_luck, sort_late
from studies.comparison.measuring import ResponseRow
from studies.comparison.results import ACCURACY, LAST_QUARTER, READINGS, Run
from studies.comparison.rows import read_responses
from studies.comparison.run import summarise_runs
from studies.comparison.tables import (
    MAIN,
    OF_METHODS,
    write_comparison,
    write_late,
    write_luck,
    write_speed,
    write_steps,
)
from studies.mechanism import tables as mechanism
from studies.mechanism.noise_job import read_noise
from studies.mechanism.run import Found

DOCS = Path(__file__).parent
PAGES = (DOCS / "evidence.md", DOCS / "mechanism.md")
ROWS = DOCS / "evidence"
PREDICTED, FRESH, SHORT = "late-0", "late-0-fresh", "late-0-short"
"""Comparisons at a share of late questions of 0: of the five seeds that were planned, of ten more, and of ten that
were stopped after 40 steps."""

QUARTER_LATE, ALL_LATE = "late-0.25", "late-1"
"""Comparisons at a share of late questions of 0.25 and 1."""

EARLIER_LAB = (
    GRPO,
    VAPO,
    Arm("vapo-group", "VAPO, anchors and claims shared by the group"),
    Arm("vapo-soft", "VAPO, soft verdicts"),
)


def fill_page(text: str) -> str:
    """Return the page with its tables written anew."""
    return fill_tables(text, TABLES)


def read_results(name: str) -> dict[str, dict[int, Run]]:
    """Return the numbers of every run of a comparison."""
    return summarise_runs(ROWS / f"{name}.parquet", ROWS / f"{name}-steps.parquet")


def read_rows(name: str) -> dict[tuple[str, int], list[ResponseRow]]:
    """Return every response of a comparison."""
    return read_responses(ROWS / f"{name}.parquet")


def list_compared(name: str) -> list[Arm]:
    """Return the arms of a comparison, GRPO first."""
    names = {arm for arm, _ in read_rows(name)}
    return [arm for arm in COMPARED if arm.name in names]


def compare_late(name: str) -> str:
    """Return the table of a comparison in today's lab."""
    return write_comparison(read_results(name), list_compared(name), MAIN)


def read_pooled() -> dict[str, dict[int, Run]]:
    """Return the numbers of every run without late questions of the arms that all such comparisons have, by seed."""
    found = [read_results(name) for name in (PREDICTED, FRESH, SHORT)]
    names = [arm.name for arm in list_compared(FRESH)]
    return {name: {seed: run for results in found for seed, run in results[name].items()} for name in names}


def read_mechanism() -> Found:
    """Return what share perception gets, by seed."""
    return json.loads((ROWS / "mechanism.json").read_text(encoding="utf-8"))


def draw_figures() -> list[Path]:
    """Draw the comparison's curves and keep those for the page."""
    with TemporaryDirectory() as folder:
        results, steps = read_results(PREDICTED), ROWS / f"{PREDICTED}-steps.parquet"
        files = draw_comparison(results, steps, list_compared(PREDICTED), Path(folder))
        return [Path(shutil.copy(file, ROWS / file.name)) for file in files if file.suffix == ".svg"]


TABLES: dict[str, Callable[[], str]] = {
    "fresh": lambda: compare_late(FRESH),
    "predicted": lambda: compare_late(PREDICTED),
    "short": lambda: compare_late(SHORT),
    "pooled": lambda: write_comparison(read_pooled(), list_compared(FRESH), MAIN),
    "late": lambda: write_late(sort_late(read_rows(FRESH)), [START, *list_compared(FRESH)]),
    "late-short": lambda: write_late(sort_late(read_rows(SHORT)), [START, *list_compared(SHORT)]),
    "luck": lambda: write_luck(pay_luck(read_rows(PREDICTED)), [START, *list_compared(PREDICTED)]),
    "advantage": lambda: write_steps(ROWS / f"{PREDICTED}-steps.parquet", list_compared(PREDICTED)),
    "quarter-late": lambda: compare_late(QUARTER_LATE),
    "all-late": lambda: compare_late(ALL_LATE),
    "methods": lambda: write_comparison(read_results("methods"), METHODS, OF_METHODS),
    "speed": lambda: write_speed(ROWS / f"{QUARTER_LATE}-steps.parquet", list_compared(QUARTER_LATE)),
    "earlier-lab": lambda: write_comparison(
        read_results("earlier-lab"), EARLIER_LAB, (ACCURACY, LAST_QUARTER, READINGS)
    ),
    "groups": lambda: mechanism.write_groups(read_mechanism()),
    "settings": lambda: mechanism.write_settings(read_mechanism()),
    "draws": lambda: mechanism.write_draws(read_mechanism()),
    "noise": lambda: mechanism.write_noise(read_noise(ROWS / "noise.json")),
    "directions": lambda: mechanism.write_directions(read_mechanism()),
    "runs": lambda: mechanism.write_runs(read_mechanism()),
}

if __name__ == "__main__":
    for page in PAGES:
        page.write_text(fill_page(page.read_text(encoding="utf-8")), encoding="utf-8")
    for figure in draw_figures():
        print(figure)
