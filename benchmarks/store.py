"""Whether memory grows with the number of images that claims are made about; it must not.

Small images, a server that answers at once, and a new store for each number of images.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.claims import LIBRARIES, DrawnRow, fill_store, run_server
from benchmarks.clock import Spread
from benchmarks.memory import PeakMemory
from benchmarks.report import Report
from benchmarks.settings import Settings

SIDE = 8  # of the images, in pixels
CONCURRENCY = 32


@dataclass(frozen=True, slots=True)
class Images:
    """So many images."""

    images: int = 1000


QUICK = (Images(500), Images(2000))
GRID = (Images(1000), Images(10_000), Images(100_000))


class DrawnRows:
    """Rows that are made as they are asked for, as a data set reads them.

    Args:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[DrawnRow]:
        return (DrawnRow(number, side=SIDE) for number in range(self._count))

    def __contains__(self, row: object) -> bool:
        return any(row == one for one in self)


def run(settings: Settings, works: Sequence[Images]) -> Report:
    """Measure the peak of each number of images, once; the ratio is the last one's over the first one's."""
    report = Report("store", replace(settings, model="none", clock="wall", repeats=1), libraries=LIBRARIES)
    peaks: list[float | None] = []
    with run_server(0.0) as url, tempfile.TemporaryDirectory() as folder:
        fill_store(Path(folder) / "warm.db", DrawnRows(200), url, CONCURRENCY)
        for work in works:
            path = Path(folder) / f"{work.images}.db"
            memory, began = PeakMemory("cpu"), time.perf_counter()
            fill_store(path, DrawnRows(work.images), url, CONCURRENCY)
            peaks.append(memory.megabytes())
            row = {"images": work.images, "images/s": work.images / (time.perf_counter() - began)}
            report.rows.append({**row, "peak MB": peaks[-1], "store MB": path.stat().st_size / 1e6})
    if peaks[0] and peaks[-1]:
        report.ratios[f"store_memory@{works[-1].images}"] = Spread.of([peaks[-1] / peaks[0]])
    report.notes.append("peak MB: beyond what the process held before, after a run over 200 images")
    return report
