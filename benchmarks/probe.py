"""All probes of a group: as published, one row per probe, and packed.

All sides get the same rollouts, probes and token budget of a pass. Their verdicts are compared after each timing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch

from benchmarks.clock import Spread, compare, time_in_turn
from benchmarks.memory import measure_peaks
from benchmarks.models import build_model
from benchmarks.published import RepromptingProber
from benchmarks.report import Report
from benchmarks.rollouts import Work, make_probes, make_rollouts
from benchmarks.settings import Settings
from vapo.engines.packed_prober import PackedProber
from vapo.engines.reference import ReferenceProber
from vapo.types import Verdict

QUICK = (Work(group=8, probes=20, image_tokens=256, completion_tokens=512),)
GRID = tuple(
    Work(group, probes, image_tokens, completion_tokens)
    for group in (5, 8)
    for probes in (5, 20, 50)
    for image_tokens in (64, 256, 1024)
    for completion_tokens in (128, 512, 1024)
)
PROBERS = {"published": RepromptingProber, "reference": ReferenceProber, "packed": PackedProber}
EQUAL = 1e-4
MAX_BATCH_TOKENS = 8192

build_model_once = cache(build_model)


def prepare(side: str, settings: Settings, work: Work) -> Callable[[], Any]:
    """Return what one side does."""
    model, processor = build_model_once(settings.model, settings.device)
    rollouts = make_rollouts(processor, work)
    probes = make_probes(rollouts, work)
    prober = PROBERS[side](model, processor, max_batch_tokens=MAX_BATCH_TOKENS)
    return lambda: prober.score(probes)


def run(settings: Settings, works: Sequence[Work]) -> Report:
    """Time all sides over a grid."""
    report = Report("probe", settings)
    for work in works:
        one = Work(1, work.probes, work.image_tokens, work.completion_tokens)
        for side in PROBERS:  # warm up; a kernel that is compiled for a size must be asked for that size
            prepare(side, settings, work if side == "packed" else one)()
        seconds, verdicts = time_in_turn({side: prepare(side, settings, work) for side in PROBERS}, settings)
        retokenised, difference = _compare_verdicts(settings, work, verdicts)
        # Where nothing is shared, one response fills as large a batch as the group does.
        alone = one if work.probes * (work.image_tokens + work.completion_tokens // 2) >= MAX_BATCH_TOKENS else work
        peaks = measure_peaks("probe", [("published", one), ("reference", alone), ("packed", work)], settings)
        row: dict[str, Any] = {"work": str(work)}
        for side, peak in zip(PROBERS, peaks, strict=True):
            row[f"{side} s"] = Spread.of(seconds[side])
            row[f"{side} MB"] = None if peak is None else peak / 1e6
        report.rows.append({**row, "retokenised": retokenised, "difference": difference})
        for other in ("reference", "published"):
            report.ratios[f"probe_packed_over_{other}@{work}"] = compare(seconds["packed"], seconds[other])
    report.notes.append("vllm: left out; it is timed where vLLM is installed (pip install 'vapo[vllm]')")
    return report


def _compare_verdicts(settings: Settings, work: Work, verdicts: dict[str, list[Verdict]]) -> tuple[float, float]:
    """Return the share of probes that retokenising changed, and the largest difference between sides on the others."""
    p_true = {side: np.array([verdict.p_true for verdict in given]) for side, given in verdicts.items()}
    model, processor = build_model_once(settings.model, settings.device)
    probes = [verdict.probe for verdict in verdicts["published"]]
    changed = np.array(RepromptingProber(model, processor).find_retokenised(probes))
    difference = max(
        np.abs(p_true["packed"] - p_true["reference"]).max(),
        np.abs(p_true["packed"] - p_true["published"])[~changed].max(initial=0.0),
    )
    if difference > EQUAL and model.dtype == torch.float32:
        raise RuntimeError(f"at {work} verdicts differ by {difference:.2g}, more than {EQUAL}")
    return float(changed.mean()), float(difference)
