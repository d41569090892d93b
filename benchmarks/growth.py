"""How time and memory of the packed scoring pass grow with probes, group, completions and image, one at a time.

The pass is that of `floor`. An exponent is the slope of a straight line through the points, logarithms on both axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

import numpy as np

from benchmarks.clock import compare, time_in_turn
from benchmarks.floor import prepare as prepare_side
from benchmarks.report import Report
from benchmarks.rollouts import Work
from benchmarks.settings import Settings

MIDDLE = Work(group=8, probes=20, image_tokens=1024, completion_tokens=256)
QUICK = (MIDDLE, replace(MIDDLE, probes=50))
AXES = {
    "probes": (5, 10, 20, 50),
    "group": (2, 4, 8, 16),
    "completion_tokens": (64, 128, 256, 512, 1024),
    "image_tokens": (64, 256, 1024, 4096),
}
GRID = tuple(dict.fromkeys(replace(MIDDLE, **{axis: value}) for axis, values in AXES.items() for value in values))


def run(settings: Settings, works: Sequence[Work]) -> Report:
    """Time the pass at all points, and fit how it grows along each axis on which two or more of them lie."""
    report = Report("growth", settings)
    passes = {work: prepare_side("packed", settings, work) for work in works}
    for warm_up in passes.values() if settings.device == "cuda" else list(passes.values())[:1]:
        warm_up()
    named = time_in_turn({str(work): score for work, score in passes.items()}, settings)
    runs = {work: named[str(work)] for work in works}
    for work in works:
        report.rows.append({"work": str(work), **runs[work].show("packed")})
    for axis in AXES:
        for line in find_lines(works, axis):
            sizes = [getattr(work, axis) for work in line]
            fitted = f"time {fit_exponent(sizes, [median(runs[work].seconds) for work in line]):.2f}"
            held = [peak for work in line if (peak := runs[work].megabytes[-1]) is not None]
            if len(held) == len(line):
                fitted += f", memory {fit_exponent(sizes, held):.2f}"
            report.notes.append(f"exponent over {axis} from {sizes[0]} to {sizes[-1]}: {fitted}")
    less, more = QUICK
    if less in runs and more in runs:
        report.ratios[f"growth_K{more.probes}_over_K{less.probes}@{less}"] = compare(
            runs[more].seconds, runs[less].seconds
        )
    return report


def find_lines(works: Sequence[Work], axis: str) -> list[list[Work]]:
    """Return the works that differ along one axis alone, in order, for each setting of the others."""
    lines: dict[Work, list[Work]] = {}
    for work in sorted(works, key=lambda work: getattr(work, axis)):
        lines.setdefault(replace(work, **{axis: 0}), []).append(work)
    return [line for line in lines.values() if len(line) > 1]


def fit_exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return the exponent of size in a power law through the points."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])
