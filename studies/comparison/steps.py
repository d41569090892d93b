"""What every training step of a comparison logged, as one parquet file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vapo.lab.questions import is_late
from vapo.run_folder import METRICS

from .rows import write_table

LOGGED: Mapping[str, str] = {
    "answers_right": "rewards/accuracy_reward/mean",
    "claims_right": "perception/accuracy",
    "claims_right_last_quarter": "perception/accuracy_quarter_4",
    "perception_share": "advantage/perception_share",
    "all_right_share": "advantage/all_right_share",
    "all_wrong_share": "advantage/all_wrong_share",
    "groups_equal": "frac_reward_zero_std",
    "tokens": "completions/mean_length",
    "entropy": "entropy",
    "seconds": "step_time",
    "probing_share": "perception/probe_time_share",
}
"""Columns, and the metrics they hold. Claims are those asked along right answers; null where an arm asks none.
Shares of the squared advantage say what made it, and of which groups; `groups_equal` is the share of groups in which
it is 0."""

COUNTED = ("early_right", "late_right")
"""Columns counted from the tables of completions: right answers among the rollouts of a step; null if none."""


def join_steps(path: Path, runs: Sequence[tuple[str, int, Path]]) -> None:
    """Write the steps of runs, given as (arm, seed, folder), into one file; it appears whole or not at all."""
    import pyarrow

    rows: list[dict[str, str | int | float | None]] = []
    for arm, seed, folder in runs:
        for line in (folder / METRICS).read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            if LOGGED["answers_right"] in entry:
                values = {column: entry.get(metric) for column, metric in LOGGED.items()}
                counted = count_right(folder / "completions" / f"completions_{entry['step']:05d}.parquet")
                rows.append({"arm": arm, "seed": seed, "step": entry["step"], **values, **counted})
    schema = pyarrow.schema(
        [
            ("arm", pyarrow.string()),
            ("seed", pyarrow.int32()),
            ("step", pyarrow.int32()),
            *((column, pyarrow.float32()) for column in (*LOGGED, *COUNTED)),
        ]
    )
    write_table(path, pyarrow.Table.from_pylist(rows, schema=schema))


def count_right(table: Path) -> dict[str, float | None]:
    """Return the shares of right answers to early and to late questions in a step's table of completions."""
    import pyarrow.parquet

    right: dict[bool, list[float]] = {False: [], True: []}
    if table.is_file():
        for row in pyarrow.parquet.read_table(table, columns=["prompt", "accuracy_reward"]).to_pylist():
            right[is_late(row["prompt"][-1]["content"][-1]["text"])].append(row["accuracy_reward"])
    return {column: float(np.mean(own)) if own else None for column, own in zip(COUNTED, right.values(), strict=True)}


def read_steps(path: Path, column: str) -> dict[tuple[str, int], list[float]]:
    """Return a column of each run's steps, in order, by arm and seed."""
    import pyarrow.parquet

    runs: dict[tuple[str, int], list[float]] = {}
    for row in pyarrow.parquet.read_table(path, columns=["arm", "seed", column]).to_pylist():
        runs.setdefault((row["arm"], row["seed"]), []).append(row[column])
    return runs
