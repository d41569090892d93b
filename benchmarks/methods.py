"""A whole training step of each method over GRPO's, all of them packed: same model, prompt, lengths and options."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.clock import compare
from benchmarks.report import Report
from benchmarks.rollouts import Work
from benchmarks.settings import Settings
from benchmarks.whole_step import PARTS_NOTE, make_stepped, report_steps, time_steps
from vapo.algorithms.registry import BUILT_IN
from vapo.training.trainer import VAPOTrainer

QUICK = (Work(group=8, probes=8, image_tokens=1024, completion_tokens=256),)
GRID = (*QUICK, Work(group=8, probes=8, image_tokens=256, completion_tokens=256))


def run(settings: Settings, works: Sequence[Work]) -> Report:
    """Time whole steps of all methods over a grid, after one that warms up."""
    report = Report("methods", settings)
    for work in works:
        options = {"packing": "require", "num_anchors": work.probes}
        runs = time_steps(
            {name: make_stepped(VAPOTrainer, settings, work, algorithm=name, **options) for name in BUILT_IN}, settings
        )
        report_steps(report, work, runs, "method")
        for name, own in runs.items():
            if name != "grpo":
                report.ratios[f"methods_{name}_over_grpo@{work}"] = compare(own.seconds, runs["grpo"].seconds)
    report.notes.append(PARTS_NOTE)
    return report
