"""The exact judge: in the lab, the cause of a wrong answer is known, because the image's digits are.

A response states what it reads, `BV7`. A reading that the image does not show is an error of perception. Readings that
are all true, with a wrong result, are an error of logic, whichever cells were read. A response that reads nothing has
guessed: other. The lab asks for no knowledge.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from vapo.errors import DataError
from vapo.types import Sample

from .world import Grid

Cause = Literal["perception", "logical", "other"]

_READING = re.compile(r"(?<![A-Za-z])([A-F][U-Z])\s*=?\s*(\d+)")


class LabJudge:
    """Judge responses by the truth of their images.

    Args:
        grids: what each image shows, by the sample's id.
    """

    def __init__(self, grids: Mapping[str, Grid]) -> None:
        self._grids = grids

    @property
    def name(self) -> str:
        """What reports call it."""
        return "the lab's truth"

    def judge(self, sample: Sample, response: str, votes: int) -> Sequence[Cause | None]:
        """Return `votes` times the cause of a wrong answer; None for an image that is not known."""
        grid = self._grids.get(sample.id)
        return (judge_response(response, grid) if grid is not None else None,) * votes


def judge_response(response: str, grid: Grid) -> Cause:
    """Return why a response about a grid came to a wrong answer.

    A cell that the grid does not have cannot be read off the image: that is an error of perception too.
    """
    readings = judge_readings(response, grid)
    if not readings:
        return "other"
    return "logical" if all(readings) else "perception"


def count_looks(response: str) -> int:
    """Return how often a response reads all cells once more."""
    return response.count("Again ")


def judge_readings(response: str, grid: Grid) -> list[bool]:
    """Return whether each reading that a response states is so, in order."""
    truth = {name: str(digit) for name, digit in grid.by_name.items()}
    return [truth.get(cell) == digit for cell, digit in find_readings(response)]


def find_readings(response: str) -> list[tuple[str, str]]:
    """Return the cells that a response names with a digit, in order, as (cell, digits)."""
    return _READING.findall(response)


def read_grids(path: Path, limit: int | None = None) -> dict[str, Grid]:
    """Read what the images of a lab data set show, by row id.

    Args:
        path: a parquet file as `vapo.lab.dataset` writes it.
        limit: the first rows only; None for all.

    Raises:
        DataError: the file has no such columns.
    """
    import pyarrow.parquet

    file = pyarrow.parquet.ParquetFile(path)
    if not {"id", "kind", "rows", "columns", "digits"} <= set(file.schema_arrow.names):
        raise DataError(f"{path} lacks columns of the lab, so its images' truth is not known")
    table = file.read(columns=["id", "digits"]).slice(0, limit)
    rows = zip(table["id"].to_pylist(), table["digits"].to_pylist(), strict=True)
    return {name: Grid(tuple(map(tuple, digits))) for name, digits in rows}


def find_truth(source: str, split: str | None) -> LabJudge | None:
    """Return the judge of a data set's images if the lab made it; None if not.

    Args:
        source: a folder that holds `SPLIT.parquet`, or such a file.
        split: the part that is asked.
    """
    path = Path(source)
    path = path / f"{split}.parquet" if path.is_dir() else path
    if path.suffix != ".parquet" or not path.is_file():
        return None
    try:
        return LabJudge(read_grids(path))
    except DataError:
        return None
