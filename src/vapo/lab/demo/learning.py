"""Learning curves: what the completions of each training step came to, with intervals."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet

from vapo.core.perception import NUM_QUARTERS, share_right
from vapo.diagnosis.curves import Curve, Line
from vapo.diagnosis.estimates import estimate_mean, estimate_share
from vapo.diagnosis.findings import Point
from vapo.errors import DataError

NUM_POINTS = 12
"""Points of a curve, if there are as many steps."""

_COLUMNS = ["accuracy_reward", "num_tokens", "anchors"]
_GUESSING = (0.5, "guessing")
_CURVES: tuple[tuple[str, str, str, str, tuple[float, str] | None], ...] = (
    ("right", "Right answers", "Share of right answers.", "right answers", None),
    (
        "seen_late",
        "Claims judged right, last quarter of the response",
        "Claims about the image, asked in the last quarter of the response.",
        "claims judged right",
        _GUESSING,
    ),
    (
        "seen",
        "Claims judged right, whole response",
        "Claims about the image, asked along the response.",
        "claims judged right",
        _GUESSING,
    ),
    ("num_tokens", "Length of response", "Tokens of a completion.", "tokens", None),
)
"""Field of a group, title, meaning, axis, level to compare with."""


@dataclass(frozen=True, slots=True)
class Group:
    """The completions of one question in one training step, on average.

    Attributes:
        right: share with the right answer.
        seen: share of the claims asked along them that were judged right; None if none was asked.
        seen_late: the same in the last quarter of the response.
        num_tokens: length.
    """

    right: float
    seen: float | None
    seen_late: float | None
    num_tokens: float


def read_steps(run: Path, group_size: int) -> list[list[Group]]:
    """Return the groups of each step of a run, from the tables of completions that TRL writes.

    Args:
        run: the run's folder.
        group_size: completions of one question, which follow each other.

    Raises:
        DataError: a table is missing or has no such columns.
    """
    files = sorted((run / "completions").glob("completions_*.parquet"))
    if not files:
        raise DataError(f"{run} holds no tables of completions; delete the folder and give the command again")
    return [_read_groups(file, group_size) for file in files]


def _read_groups(file: Path, group_size: int) -> list[Group]:
    try:
        table = pyarrow.parquet.read_table(file, columns=_COLUMNS)
    except (OSError, ValueError) as error:
        raise DataError(f"{file} is no table of completions ({error}); delete its run and start anew") from error
    rows = table.to_pylist()
    groups: list[Group] = []
    for start in range(0, len(rows), group_size):
        own = rows[start : start + group_size]
        judged = [(verdict["depth"], verdict["correct"]) for row in own for verdict in json.loads(row["anchors"])]
        groups.append(
            Group(
                right=float(np.mean([row["accuracy_reward"] for row in own])),
                seen=share_right(judged),
                seen_late=share_right(judged, NUM_QUARTERS),
                num_tokens=float(np.mean([row["num_tokens"] for row in own])),
            )
        )
    return groups


def draw_learning(
    runs: Mapping[int, Sequence[Sequence[Group]]], *, temperature: float, seed: int
) -> tuple[Curve, ...]:
    """Return the curves over training steps, one line per run.

    Each point is a mean over the questions of some steps next to each other, of the question's own mean, because
    completions of one question are not independent. The band is the 95 % interval over those questions: how
    exactly this run was measured there, not how much another seed would differ.

    Args:
        runs: the groups of each step, by the number under which the page knows the model.
        temperature: of the completions.
        seed: of the intervals' resampling.
    """
    num_steps = max(map(len, runs.values()))
    windows = [part.tolist() for part in np.array_split(np.arange(num_steps), min(num_steps, NUM_POINTS))]
    stretch = "one step" if len(windows[0]) == 1 else f"{len(windows[0])} steps"
    explanation = (
        f"Each point: {stretch} on training questions, the same ones for both runs, sampled at temperature "
        f"{temperature:g}. Band: 95 % interval over the questions of those steps; what another seed would give is not "
        "in it."
    )
    curves: list[Curve] = []
    for key, title, what, y_label, reference in _CURVES:
        lines = [
            Line(number, "", points)
            for number, steps in runs.items()
            if (points := _draw_points(key, [[steps[step] for step in window] for window in windows], windows, seed))
        ]
        curves.append(
            Curve(
                key=key,
                title=title,
                meaning=f"{what} {explanation}",
                x_label="training step",
                y_label=y_label,
                x_is_share=False,
                y_is_share=key != "num_tokens",
                reference=reference,
                lines=tuple(lines),
                absent="" if lines else "No claim was asked there: the responses have too few logical boundaries.",
                x_word="step",
            )
        )
    return tuple(curves)


def _draw_points(
    key: str, groups: Sequence[Sequence[Sequence[Group]]], windows: Sequence[Sequence[int]], seed: int
) -> tuple[Point, ...]:
    """Return a point for each window in which something was measured; steps count from 1 on the axis."""
    estimate = estimate_mean if key == "num_tokens" else estimate_share
    points: list[Point] = []
    for window, steps in zip(windows, groups, strict=True):
        values = [value for step in steps for group in step if (value := getattr(group, key)) is not None]
        if values:
            middle = 1 + (window[0] + window[-1]) / 2
            points.append(Point(middle, estimate(values, seed=seed, name=f"{key} {window[0]}")))
    return tuple(points)
