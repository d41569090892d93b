"""Measured numbers as they stand in sentences."""

from __future__ import annotations

from vapo.diagnosis.estimates import Estimate

FEWEST = 10
"""Questions below which nothing is said, or that there are too few."""


def is_clear(change: Estimate) -> bool:
    """Return whether a difference can be told from 0: its interval leaves 0 out."""
    if change.low is None or change.high is None:  # the same on every question
        return change.value != 0
    return not change.low <= 0 <= change.high


def format_p_value(change: Estimate) -> str:
    """Return what to add to a difference that cannot be told from 0; "" for one that can."""
    return ", which chance alone could do" if change.value != 0 and not is_clear(change) else ""


def format_percent(estimate: Estimate) -> str:
    """Return a share in per cent, without its interval."""
    return write_percent(estimate.value)


def format_points(estimate: Estimate | None) -> str:
    """Return a difference of shares in percentage points, with its interval."""
    if estimate is None:
        return "not measured"
    text = f"{100 * estimate.value:+.1f} points"
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} [{100 * estimate.low:+.1f}, {100 * estimate.high:+.1f}]"


def format_interval(estimate: Estimate) -> str:
    """Return the interval of a share in per cent, after a space; "" where there is none."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f" [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def write_percent(value: float) -> str:
    """Return a share in per cent."""
    return f"{100 * value:.1f} %"


def write_depth(depth: float) -> str:
    """Return a depth of the response in whole per cent."""
    return f"{100 * depth:.0f} %"
