"""A whole training step: TRL's GRPO without probes, ours as GRPO and as VAPO with K probes for each response.

All have the same options, TRL's defaults but for sizes, and the same prompt; responses are sampled by transformers.
"vapo, right ones" asks no probes along wrong responses (`closed_gate_probe_share` 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trl import GRPOTrainer

from benchmarks.clock import Spread, compare
from benchmarks.report import Report
from benchmarks.rollouts import Work
from benchmarks.settings import Settings
from benchmarks.whole_step import PARTS_NOTE, SteppedTrainer, make_stepped, report_steps, time_steps
from vapo.training.trainer import VAPOTrainer

QUICK = (Work(group=8, probes=20, image_tokens=1024, completion_tokens=128),)
GRID = tuple(
    Work(group, 20, image_tokens, completion_tokens)
    for image_tokens, completion_tokens, group in (
        (1024, 128, 8),
        (1024, 512, 8),
        (256, 128, 8),
        (64, 128, 8),
        (1024, 128, 4),
        (1024, 128, 16),
    )
)


def prepare(settings: Settings, work: Work) -> dict[str, SteppedTrainer]:
    """Return the trainers that are compared."""
    packed: dict[str, Any] = {"packing": "require"}
    probes = {"algorithm": "vapo", "num_anchors": work.probes}
    return {
        "trl": make_stepped(GRPOTrainer, settings, work),
        "grpo": make_stepped(VAPOTrainer, settings, work, algorithm="grpo", **packed),
        "vapo": make_stepped(VAPOTrainer, settings, work, **probes, **packed),
        "vapo, right ones": make_stepped(VAPOTrainer, settings, work, closed_gate_probe_share=0.0, **probes, **packed),
    }


def run(settings: Settings, works: Sequence[Work]) -> Report:
    """Time whole steps of all sides over a grid, after one that warms up."""
    report = Report("whole", settings)
    for work in works:
        stepped = prepare(settings, work)
        runs = time_steps(stepped, settings)
        report_steps(report, work, runs, "side")
        report.ratios[f"whole_grpo_over_trl@{work}"] = compare(runs["grpo"].seconds, runs["trl"].seconds)
        report.ratios[f"whole_vapo_over_trl@{work}"] = compare(runs["vapo"].seconds, runs["trl"].seconds)
        ours, theirs = ([peak for peak in runs[side].megabytes if peak is not None] for side in ("vapo", "trl"))
        if ours and theirs:
            report.ratios[f"whole_memory@{work}"] = Spread.of([max(ours) / max(theirs)])
        report.ratios[f"whole_vapo_right_ones_over_grpo@{work}"] = compare(
            runs["vapo, right ones"].seconds, runs["grpo"].seconds
        )
        report.ratios[f"whole_vapo_over_grpo@{work}"] = compare(runs["vapo"].seconds, runs["grpo"].seconds)
    report.notes.append(PARTS_NOTE)
    return report
