"""Write the tables of docs/evidence.md and docs/mechanism.md from the rows in docs/evidence, and draw figures.

    python docs/write_evidence.py

The rows are what `python -m studies compare`, `ablate` and `mechanism` left behind.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from filled_tables import fill_tables

from studies.comparison.arms import ABLATIONS, COMPARED
from studies.comparison.figures import draw_comparison
from studies.comparison.looks import sort_by_looks
from studies.comparison.results import Run
from studies.comparison.rows import read_responses
from studies.comparison.run import summarise_runs
from studies.comparison.tables import write_ablations, write_comparison, write_looks, write_noise
from studies.comparison.variance import Spread
from studies.mechanism import tables as mechanism
from studies.mechanism.run import Found

DOCS = Path(__file__).parent
PAGES = (DOCS / "evidence.md", DOCS / "mechanism.md")
ROWS = DOCS / "evidence"


def fill_page(text: str) -> str:
    """Return the page with its tables written anew."""
    return fill_tables(text, TABLES)


def read_results(name: str) -> dict[str, dict[int, Run]]:
    """Return the numbers of every run of a comparison."""
    return summarise_runs(ROWS / f"{name}.parquet", ROWS / f"{name}-steps.parquet")


def read_noise() -> dict[tuple[str, str], Spread]:
    """Return where the perception reward varies at the start."""
    found = json.loads((ROWS / "compare.json").read_text(encoding="utf-8"))["noise"]
    return {(way.split()[0], way.split()[1]): Spread(**spread) for way, spread in found.items()}


def read_mechanism() -> Found:
    """Return what share perception gets, by seed."""
    return json.loads((ROWS / "mechanism.json").read_text(encoding="utf-8"))


def draw_figures() -> list[Path]:
    """Draw the comparison's curves and keep those for the page."""
    with TemporaryDirectory() as folder:
        files = draw_comparison(read_results("compare"), ROWS / "compare-steps.parquet", COMPARED, Path(folder))
        return [Path(shutil.copy(file, ROWS / file.name)) for file in files if file.suffix == ".svg"]


TABLES: dict[str, Callable[[], str]] = {
    "compare": lambda: write_comparison(read_results("compare"), COMPARED),
    "looks": lambda: write_looks(sort_by_looks(read_responses(ROWS / "compare.parquet")), COMPARED),
    "noise": lambda: write_noise(read_noise()),
    "groups": lambda: mechanism.write_groups(read_mechanism()),
    "settings": lambda: mechanism.write_settings(read_mechanism()),
    "draws": lambda: mechanism.write_draws(read_mechanism()),
    "directions": lambda: mechanism.write_directions(read_mechanism()),
    "runs": lambda: mechanism.write_runs(read_mechanism()),
    "ablate": lambda: write_ablations(read_results("ablate"), ABLATIONS),
}

if __name__ == "__main__":
    for page in PAGES:
        page.write_text(fill_page(page.read_text(encoding="utf-8")), encoding="utf-8")
    for figure in draw_figures():
        print(figure)
