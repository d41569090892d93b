"""What the mechanism came to, as Markdown; intervals are Student's over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from studies.comparison.results import Interval, summarise
from studies.comparison.tables import write_row, write_rule

from .run import Found
from .shares import ADVANTAGE, GRADIENT
from .training import FIRST, LAST, SHARE
from .variance import Spread

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


def write_noise(noise: Mapping[tuple[str, str], Spread]) -> str:
    """Return a table of where the perception reward varies, by how draws are shared and probes judged.

    Variances are in units of 0.001, with 95 % intervals over questions; what is shared or soft is set against
    independent draws and hard verdicts.
    """
    usual = noise["independent", "hard"]
    head = ["draws, verdicts", "signal within groups", "noise", "share of the signal", "signal to noise", "x usual"]
    lines = [write_row([*head, "within groups, of responses' own"]), write_rule(len(head))]
    for (sharing, verdict), spread in noise.items():
        cells = [f"{sharing}, {verdict}", _with_bounds(1000 * spread.signal, spread.signal_bounds, 1000)]
        cells += [_with_bounds(1000 * spread.noise, spread.noise_bounds, 1000), f"{spread.signal_share:.0%}"]
        cells += [_with_bounds(spread.signal / spread.noise, spread.ratio_bounds)]
        cells += [f"{spread.signal / spread.noise / (usual.signal / usual.noise):.2f}", f"{spread.share_within:.0%}"]
        lines.append(write_row(cells))
    return "\n".join(lines)


def _with_bounds(value: float, bounds: tuple[float, float] | None, scale: float = 1.0) -> str:
    return f"{value:.2f}" if bounds is None else f"{value:.2f} [{scale * bounds[0]:.2f}, {scale * bounds[1]:.2f}]"


def _write(
    found: Found, table: str, head: str, columns: Sequence[str], percent: Sequence[int] = (), digits: int = 3
) -> str:
    first = next(iter(found.values()))[table]
    lines = [write_row([head, *columns]), write_rule(len(columns))]
    for row in first:
        cells = [TITLES.get(row, f"`{row}`" if ":" in row else row)]
        for number, column in enumerate(columns):
            over_seeds = summarise([numbers[table][row][column] for numbers in found.values()])
            cells.append(_show(over_seeds, percent=number in percent, digits=digits))
        lines.append(write_row(cells))
    return "\n".join(lines)


def _show(interval: Interval, *, percent: bool, digits: int) -> str:
    scale, digits, unit = (100, 2, " %") if percent else (1, digits, "")
    if interval.mean != interval.mean:
        return ""
    text = f"{scale * interval.mean:.{digits}f}{unit}"
    if interval.low is None or interval.high is None:
        return text
    return f"{text} [{scale * interval.low:.{digits}f}, {scale * interval.high:.{digits}f}]"
