"""What the mechanism came to, as Markdown; intervals are Student's over seeds."""

from __future__ import annotations

from collections.abc import Sequence

from studies.comparison.results import Interval, summarise

from .run import Found
from .shares import ADVANTAGE, GRADIENT
from .training import FIRST, LAST, SHARE

TITLES = {"all_right": "all right", "mixed": "mixed", "all_wrong": "all wrong"}


def write_groups(found: Found) -> str:
    """Return a row for each way in which the answers of a group can come out."""
    columns = ("groups", "standard deviation of the reward", GRADIENT, "perception's part of that")
    return _write(found, "groups", "answers of a group", columns, percent=(0, 2, 3))


def write_settings(found: Found) -> str:
    """Return perception's shares for every setting."""
    return _write(found, "settings", "options", (GRADIENT, ADVANTAGE), percent=(0, 1))


def write_draws(found: Found) -> str:
    """Return how far two draws of probes agree."""
    return _write(found, "draws", "verdicts and draws", ("correlation",))


def write_directions(found: Found) -> str:
    """Return the angles between gradients."""
    return _write(found, "directions", "gradients of two groups", ("cosine",), digits=4)


def write_runs(found: Found) -> str:
    """Return what short runs came to, of the seeds that were trained with."""
    trained = {seed: numbers for seed, numbers in found.items() if "runs" in numbers}
    return _write(trained, "runs", "options", (FIRST, LAST, SHARE), percent=(0, 1, 2))


def _write(
    found: Found, table: str, head: str, columns: Sequence[str], percent: Sequence[int] = (), digits: int = 3
) -> str:
    first = next(iter(found.values()))[table]
    lines = ["| " + " | ".join([head, *columns]) + " |", "|" + "---|" * (len(columns) + 1)]
    for row in first:
        cells = [TITLES.get(row, f"`{row}`" if ":" in row else row)]
        for number, column in enumerate(columns):
            over_seeds = summarise([numbers[table][row][column] for numbers in found.values()])
            cells.append(_show(over_seeds, percent=number in percent, digits=digits))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _show(interval: Interval, *, percent: bool, digits: int) -> str:
    scale, digits, unit = (100, 2, " %") if percent else (1, digits, "")
    if interval.mean != interval.mean:
        return ""
    text = f"{scale * interval.mean:.{digits}f}{unit}"
    if interval.low is None or interval.high is None:
        return text
    return f"{text} [{scale * interval.low:.{digits}f}, {scale * interval.high:.{digits}f}]"
