"""What a comparison came to, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from .arms import START, VAPO, Ablation, Arm
from .looks import Part
from .results import (
    ACCURACY,
    EARLY_RIGHT,
    ENTROPY,
    LAST_QUARTER,
    LATE_RIGHT,
    LOOKING,
    MEASURES,
    READINGS,
    SECONDS,
    SENSITIVITY,
    TOKENS,
    Interval,
    Run,
    average,
    compare,
    summarise,
)
from .steps import read_steps

MAIN = (EARLY_RIGHT, LATE_RIGHT, LAST_QUARTER, LOOKING, TOKENS)
"""Measures that decide."""

OF_METHODS = (EARLY_RIGHT, LATE_RIGHT, LAST_QUARTER, SENSITIVITY, LOOKING, TOKENS, ENTROPY, SECONDS)
"""Measures by which methods are set side by side."""

Results = Mapping[str, Mapping[int, Run]]
"""By arm, by seed."""

_DIGITS = {TOKENS: 1, READINGS: 1, SECONDS: 0, ENTROPY: 3}
"""Digits behind the point of measures that are no shares."""


def write_comparison(results: Results, arms: Sequence[Arm], measures: Sequence[str] = MEASURES) -> str:
    """Return two tables with a row for each arm: measures, the starting model's first, and their differences from the
    first arm, paired by seed."""
    first, *others = arms
    lines = [write_row(["", *measures]), write_rule(len(measures))]
    for arm in [*([START] if START.name in results else []), *arms]:
        runs = results[arm.name]
        lines.append(write_row([arm.title, *(_describe(average(runs, measure), measure) for measure in measures)]))
    lines += ["", write_row([f"less {first.title}", *measures]), write_rule(len(measures))]
    for arm in others:
        differences = [compare(results[arm.name], results[first.name], measure) for measure in measures]
        cells = [_describe(each, name, sign=True) for each, name in zip(differences, measures, strict=True)]
        lines.append(write_row([arm.title, *cells]))
    return "\n".join(lines)


def write_ablations(results: Results, ablations: Sequence[Ablation]) -> str:
    """Return a table per ablation: what each value gave, against VAPO's own, and whether the paper saw the same.

    Ablations of which an arm was not run are left out.
    """
    run = [ablation for ablation in ablations if all(arm.name in results for arm in ablation.arms.values())]
    return "\n\n".join(_write_ablation(results, ablation) for ablation in run)


def _write_ablation(results: Results, ablation: Ablation) -> str:
    own = next(value for value, arm in ablation.arms.items() if arm == VAPO)
    head = [ablation.name, ACCURACY, f"{LAST_QUARTER}", f"{ACCURACY}, less {own}", f"{LAST_QUARTER}, less {own}"]
    head += ["paper, accuracy less " + own, "accuracy: the paper and the lab"]
    lines = [write_row(head), write_rule(len(head) - 1)]
    for value, arm in ablation.arms.items():
        runs = results[arm.name]
        cells = [value, *(_describe(average(runs, measure), measure) for measure in (ACCURACY, LAST_QUARTER))]
        if arm == VAPO:
            cells += ["", "", "", ""]
        else:
            ours = compare(runs, results[VAPO.name], ACCURACY)
            late = compare(runs, results[VAPO.name], LAST_QUARTER)
            theirs = ablation.paper[value] - ablation.paper[own] if {value, own} <= ablation.paper.keys() else None
            cells += [_describe(ours, ACCURACY, sign=True), _describe(late, LAST_QUARTER, sign=True)]
            cells += ["" if theirs is None else f"{theirs:+.1f}", judge_agreement(ours, theirs)]
        lines.append(write_row(cells))
    return "\n".join([*lines, "", f"The paper's figures: {ablation.source}."])


def write_late(parts: Mapping[str, Mapping[str, Part]], arms: Sequence[Arm]) -> str:
    """Return a table of how responses to late questions go: the share that goes each way, and right answers there."""
    ways = list(parts[arms[0].name])
    heads = [head for way in ways for head in (way, "right there")]
    lines = [write_row(["late responses with", *heads]), write_rule(len(heads))]
    for arm in arms:
        own = [parts[arm.name][way] for way in ways]
        cells = [_describe(each, "") for part in own for each in (part.share, part.right)]
        lines.append(write_row([arm.title, *cells]))
    return "\n".join(lines)


def write_luck(rewards: Mapping[str, tuple[Interval, Interval]], arms: Sequence[Arm]) -> str:
    """Return a table of what right yes-or-no answers to late questions earn by luck, and behind looks."""
    lines = [write_row(["perception reward, x 100", "by luck", "behind looks"]), write_rule(2)]
    lines += [write_row([arm.title, *(_describe(each, "") for each in rewards[arm.name])]) for arm in arms]
    return "\n".join(lines)


def write_steps(steps: Path, arms: Sequence[Arm], parts: int = 3) -> str:
    """Return a table of what the advantage came from: shares of its square, and groups where it is 0, by part of the
    training, as means over seeds."""
    columns = {
        "perception_share": "perception",
        "all_right_share": "groups all right",
        "all_wrong_share": "groups all wrong",
        "groups_equal": "groups without advantage",
    }
    lines = [write_row(["in each third of the training", *columns.values()]), write_rule(len(columns))]
    for arm in arms:
        cells: list[str] = []
        for column in columns:
            runs = [values for (name, _), values in read_steps(steps, column).items() if name == arm.name]
            table = np.array([[np.nan if value is None else value for value in values] for values in runs])
            pieces = np.array_split(table, parts, axis=1)
            cells.append(", ".join("" if np.isnan(p).all() else f"{100 * np.nanmean(p):.1f}" for p in pieces))
        lines.append(write_row([arm.title, *cells]))
    return "\n".join(lines)


def write_speed(steps: Path, arms: Sequence[Arm], window: int = 10) -> str:
    """Return a table of the steps that late answers took to come to where the first arm's end, by seed.

    What late answers are worth at a step is their mean over the rollouts of the last `window` steps up to it, and the
    first arm's end is that of its last step. An arm that does not come there took one step more than it has.
    """
    first, *_ = arms
    late = {run: _trail(values, window) for run, values in read_steps(steps, "late_right").items()}
    lines = [write_row(["", f"steps to {first.title}'s last late answers", "of all steps"]), write_rule(2)]
    for arm in arms:
        taken, total = [], 1
        for (name, seed), values in late.items():
            if name == arm.name:
                total = len(values)
                there = np.flatnonzero(values >= late[first.name, seed][-1])
                taken.append(float(there[0]) + 1 if len(there) else total + 1.0)
        found = summarise(taken)
        lines.append(write_row([arm.title, _describe(found, TOKENS), f"{found.mean / total:.2f}"]))
    return "\n".join(lines)


def _trail(values: Sequence[float | None], window: int) -> np.ndarray:
    """Return the mean of the last values up to each, those that are missing left out; NaN before there are so many."""
    known = np.array([np.nan if value is None else value for value in values])
    means = [np.nanmean(known[end - window : end]) for end in range(window, len(known) + 1)]
    return np.array([*[np.nan] * (window - 1), *means])


def judge_agreement(ours: Interval, theirs: float | None) -> str:
    """Say whether a difference has the paper's sign: known only where its interval excludes 0."""
    if theirs is None:
        return "no figure"
    if not ours.excludes_zero:
        return "cannot tell"
    return "agree" if (ours.mean > 0) == (theirs > 0) else "disagree"


def _describe(interval: Interval, measure: str, *, sign: bool = False) -> str:
    scale = 1.0 if measure in _DIGITS else 100.0
    form = f"{'+' if sign else ''}.{_DIGITS.get(measure, 1)}f"
    if math.isnan(interval.mean):
        return ""
    text = f"{scale * interval.mean:{form}}"
    if interval.low is None or interval.high is None:
        return text
    return f"{text} [{scale * interval.low:{form}}, {scale * interval.high:{form}}]"


def write_row(cells: Sequence[str]) -> str:
    """Return a row of a table in Markdown."""
    return f"| {' | '.join(cells)} |"


def write_rule(columns: int) -> str:
    """Return the line below the heads of a table: of a column of names, and as many others."""
    return "|---" * (columns + 1) + "|"
