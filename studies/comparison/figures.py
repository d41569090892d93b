"""A comparison as figures: what is seen along the response at the end, and what was answered while training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vapo.diagnosis.curves import Curve, Line
from vapo.diagnosis.estimates import Estimate
from vapo.diagnosis.figures import write_curves
from vapo.diagnosis.findings import Point

from .arms import Arm
from .results import QUARTERS, Interval, Run, average, summarise
from .steps import read_steps

NUM_POINTS = 20
"""Points of a learning curve, if there are as many steps."""


def draw_comparison(
    results: Mapping[str, Mapping[int, Run]], steps: Path, arms: Sequence[Arm], folder: Path
) -> list[Path]:
    """Draw each curve as PNG and SVG in `folder/figures`, and return the files; bands are 95 % intervals over seeds.

    Raises ConfigError if matplotlib is not installed.
    """
    curves = [draw_quarters(results, arms), draw_learning(steps, arms)]
    return write_curves(curves, [arm.title for arm in arms], folder)


def draw_quarters(results: Mapping[str, Mapping[int, Run]], arms: Sequence[Arm]) -> Curve:
    """Return the share of claims judged right by quarter of the response, a line per arm."""
    lines: list[Line] = []
    for number, arm in enumerate(arms):
        runs = results[arm.name]
        middles = (np.arange(len(QUARTERS)) + 0.5) / len(QUARTERS)
        points = [_point(at, average(runs, name), len(runs)) for at, name in zip(middles, QUARTERS, strict=True)]
        lines.append(Line(number, "", tuple(points)))
    return Curve(
        key="claims_right_by_quarter",
        title="Claims judged right along the response",
        meaning="Claims about held-out images, asked along the sampled responses of the trained models.",
        x_label="position in the response",
        y_label="claims judged right",
        x_is_share=True,
        y_is_share=True,
        reference=(0.5, "guessing"),
        lines=tuple(lines),
        absent="",
    )


def draw_learning(steps: Path, arms: Sequence[Arm]) -> Curve:
    """Return the share of right answers over training steps, a line per arm."""
    by_run = read_steps(steps, "answers_right")
    lines: list[Line] = []
    for number, arm in enumerate(arms):
        runs = np.array([values for (name, _), values in by_run.items() if name == arm.name])
        pieces = np.array_split(np.arange(runs.shape[1]), min(NUM_POINTS, runs.shape[1]))
        points = [
            _point(piece.mean() + 1, summarise(list(runs[:, piece].mean(axis=1))), len(runs)) for piece in pieces
        ]
        lines.append(Line(number, "", tuple(points)))
    return Curve(
        key="answers_right_by_step",
        title="Right answers while training",
        meaning="Share of right answers among the rollouts of some steps.",
        x_label="training step",
        y_label="answers right",
        x_is_share=False,
        y_is_share=True,
        reference=None,
        lines=tuple(lines),
        absent="",
        x_word="step",
    )


def _point(at: float, interval: Interval, num_seeds: int) -> Point:
    return Point(float(at), Estimate(interval.mean, interval.low, interval.high, num_seeds))
