"""What every training step of a comparison logged, as one parquet file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from vapo.run_folder import METRICS

from .rows import write_table

LOGGED: Mapping[str, str] = {
    "answers_right": "rewards/accuracy_reward/mean",
    "claims_right": "perception/accuracy",
    "claims_right_last_quarter": "perception/accuracy_quarter_4",
    "tokens": "completions/mean_length",
    "entropy": "entropy",
    "seconds": "step_time",
    "probing_share": "perception/probe_time_share",
}
"""Columns, and the metrics they hold. Claims are those asked along right answers; null where an arm asks none."""


def join_steps(path: Path, runs: Sequence[tuple[str, int, Path]]) -> None:
    """Write the steps of runs, given as (arm, seed, folder), into one file; it appears whole or not at all."""
    import pyarrow

    rows: list[dict[str, str | int | float | None]] = []
    for arm, seed, folder in runs:
        for line in (folder / METRICS).read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            if LOGGED["answers_right"] in entry:
                values = {column: entry.get(metric) for column, metric in LOGGED.items()}
                rows.append({"arm": arm, "seed": seed, "step": entry["step"], **values})
    schema = pyarrow.schema(
        [
            ("arm", pyarrow.string()),
            ("seed", pyarrow.int32()),
            ("step", pyarrow.int32()),
            *((column, pyarrow.float32()) for column in LOGGED),
        ]
    )
    write_table(path, pyarrow.Table.from_pylist(rows, schema=schema))


def read_steps(path: Path, column: str) -> dict[tuple[str, int], list[float]]:
    """Return a column of each run's steps, in order, by arm and seed."""
    import pyarrow.parquet

    runs: dict[tuple[str, int], list[float]] = {}
    for row in pyarrow.parquet.read_table(path, columns=["arm", "seed", column]).to_pylist():
        runs.setdefault((row["arm"], row["seed"]), []).append(row[column])
    return runs
