"""Measured responses as parquet: one row per response, its probes as a list in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vapo.atomic_files import atomic_file

from .measuring import ProbeRow, ResponseRow


def write_responses(path: Path, rows: Sequence[ResponseRow], *, arm: str, seed: int) -> None:
    """Write the rows of one run; the file appears whole or not at all."""
    import pyarrow

    plain = [{"arm": arm, "seed": seed, **asdict(row)} for row in rows]
    write_table(path, pyarrow.Table.from_pylist(plain, schema=_make_schema()))


def read_responses(path: Path) -> dict[tuple[str, int], list[ResponseRow]]:
    """Return the rows of every run in a file, by arm and seed."""
    import pyarrow.parquet

    runs: dict[tuple[str, int], list[ResponseRow]] = {}
    for values in pyarrow.parquet.read_table(path).to_pylist():
        key = (values.pop("arm"), values.pop("seed"))
        probes = tuple(ProbeRow(**probe) for probe in values.pop("probes"))
        values = {"kind": "", **values}  # rows of before the lab had kinds hold none
        runs.setdefault(key, []).append(ResponseRow(**values, probes=probes))
    return runs


def read_kinds(path: Path) -> dict[str, str]:
    """Return the kind of each question of a data set of the lab's, by id."""
    import pyarrow.parquet

    rows = pyarrow.parquet.read_table(path, columns=["id", "kind"]).to_pylist()
    return {row["id"]: row["kind"] for row in rows}


def join_runs(path: Path, runs: Sequence[Path]) -> None:
    """Write all runs' rows into one file; it appears whole or not at all."""
    import pyarrow
    import pyarrow.parquet

    write_table(path, pyarrow.concat_tables([pyarrow.parquet.read_table(run) for run in runs]))


_PROBE = "probes.list.element"
_REPEATED = ("arm", "kind", "id", f"{_PROBE}.claim")
_FRACTIONS = (f"{_PROBE}.depth", f"{_PROBE}.p_true", f"{_PROBE}.p_true_blind")
"""Columns of few texts, and of numbers that hardly repeat, by their paths in a parquet file."""


def write_table(path: Path, table: Any) -> None:
    """Write an Arrow table as parquet, compressed as far as it goes; the file appears whole or not at all."""
    import pyarrow.parquet

    options: dict[str, Any] = {"use_dictionary": list(_REPEATED), "use_byte_stream_split": list(_FRACTIONS)}
    with atomic_file(path) as temporary:
        pyarrow.parquet.write_table(table, temporary, compression="zstd", compression_level=19, **options)


def _make_schema() -> Any:
    import pyarrow

    probe = pyarrow.struct(
        [
            ("depth", pyarrow.float32()),
            ("claim", pyarrow.string()),
            ("is_true", pyarrow.bool_()),
            ("p_true", pyarrow.float32()),
            ("p_true_blind", pyarrow.float32()),
        ]
    )
    return pyarrow.schema(
        [
            ("arm", pyarrow.string()),
            ("seed", pyarrow.int32()),
            ("id", pyarrow.string()),
            ("kind", pyarrow.string()),
            ("completion", pyarrow.string()),
            ("right", pyarrow.bool_()),
            ("has_format", pyarrow.bool_()),
            ("num_tokens", pyarrow.int32()),
            ("num_readings", pyarrow.int32()),
            ("probes", pyarrow.list_(probe)),
        ]
    )
