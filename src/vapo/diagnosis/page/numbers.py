"""Numbers as the page gets them: short, and finite or null."""

from __future__ import annotations

import math
from collections.abc import Iterable

from vapo.diagnosis.estimates import Estimate
from vapo.diagnosis.findings import Point


def shorten(value: float | None, digits: int = 5) -> float | None:
    """Round to significant digits; None for what is not a finite number, which JSON cannot say."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{digits}g}")


def list_estimate(estimate: Estimate | None) -> list[float | None] | None:
    """Return [value, low, high, questions]."""
    if estimate is None:
        return None
    return [shorten(estimate.value), shorten(estimate.low), shorten(estimate.high), estimate.num_questions]


def list_points(points: Iterable[Point]) -> list[list[float | None]]:
    """Return [at, value, low, high, questions] of each point, from left to right."""
    rows = [[shorten(point.at), *(list_estimate(point.estimate) or ())] for point in points]
    return sorted((row for row in rows if row[0] is not None), key=lambda row: row[0] or 0.0)


def scale_to_integers(values: Iterable[float], scale: float) -> list[int]:
    """Round `values` times `scale`; what is not finite counts as 0. Integers keep thousands of tokens small."""
    return [round(value * scale) if math.isfinite(value) else 0 for value in values]
