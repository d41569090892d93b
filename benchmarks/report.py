"""What a benchmark found: a table to read, JSON to keep, and a line for each ratio."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks.clock import Cell, Spread
from benchmarks.settings import Settings


@dataclass(slots=True)
class Report:
    """Findings of one benchmark.

    Attributes:
        benchmark: its name.
        settings: what it was asked for.
        rows: the table; all rows have the same columns.
        ratios: ours over theirs, in the order in which they are printed.
        notes: sentences printed below the table.
        libraries: whose versions the figures depend on.
    """

    benchmark: str
    settings: Settings
    rows: list[dict[str, Cell]] = field(default_factory=list)
    ratios: dict[str, Spread] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    libraries: Sequence[str] = ("torch", "transformers", "trl")

    def print(self) -> None:
        """Print machine, table, notes and, last, a line `RATIO <name> <value>` for each ratio."""
        machine = describe_machine(self.settings, self.libraries)
        print(f"{self.benchmark}: " + ", ".join(f"{name} {value}" for name, value in machine.items()))
        columns = list(self.rows[0]) if self.rows else []
        lines = [columns, *([_show(row[column]) for column in columns] for row in self.rows)]
        widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
        for line in lines:
            print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))
        for note in self.notes:
            print(note)
        for name, ratio in self.ratios.items():
            print(f"{name}: median {ratio.median:.4g}, from {ratio.low:.4g} to {ratio.high:.4g}")
        for name, ratio in self.ratios.items():
            print(f"RATIO {name} {ratio.median:.4g}")

    def write(self, path: Path) -> None:
        """Write everything as JSON."""
        found: dict[str, Any] = {
            "benchmark": self.benchmark,
            "machine": describe_machine(self.settings, self.libraries),
            "settings": asdict(self.settings),
            "rows": [{column: _plain(cell) for column, cell in row.items()} for row in self.rows],
            "ratios": {name: _plain(ratio) for name, ratio in self.ratios.items()},
            "notes": self.notes,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=1) + "\n")


def describe_machine(settings: Settings, libraries: Sequence[str]) -> dict[str, str]:
    """Return what the figures depend on: processor or GPU, threads, versions."""
    if settings.device == "cuda":
        device = torch.cuda.get_device_name()
    else:
        device = f"{platform.machine()} CPU with {os.cpu_count()} cores"
    versions = {name: version(name) for name in libraries}
    return {
        "on": device,
        "threads": str(settings.threads),
        "clock": settings.clock,
        "model": settings.model,
        "commit": _find_commit(),
        **versions,
    }


def _find_commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def _show(cell: Cell) -> str:
    if cell is None:
        return "-"
    return f"{cell:.3g}" if isinstance(cell, float) else str(cell)


def _plain(cell: Cell) -> Any:
    return asdict(cell) if isinstance(cell, Spread) else cell
