"""All probes of a group: as published, one row per probe, and packed.

All sides get the same rollouts, probes and token budget of a pass. Their verdicts are compared after each timing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import torch

from benchmarks.clock import Spread, compare, time_in_turn
from benchmarks.models import build_model
from benchmarks.published import RepromptingProber
from benchmarks.report import Report
from benchmarks.rollouts import Work, make_probes, make_rollouts
from benchmarks.settings import Settings
from benchmarks.warm_engine import HOW_TO_GET_IT, WarmEngine, is_installed
from vapo.probing.packed_prober import PackedProber
from vapo.probing.reference import ReferenceProber
from vapo.types import Probe, Verdict

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
VLLM_NOTE = (
    "vllm: its cache is warm from the rollout, and empty of probes; cached is the share of tokens it found there"
)
MAX_BATCH_TOKENS = 8192

build_model_once = cache(build_model)


def prepare(side: str, settings: Settings, work: Work) -> Callable[[], Any]:
    """Return what one side does."""
    model, processor = build_model_once(settings.model, settings.device)
    probes = _probes_of(settings, work)
    if side != "packed" and settings.responses is not None:
        probes = probes[: settings.responses * work.probes]
    prober = PROBERS[side](model, processor, max_batch_tokens=MAX_BATCH_TOKENS)
    return lambda: prober.score(probes)


def run(settings: Settings, works: Sequence[Work]) -> Report:
    """Time all sides over a grid."""
    report = Report("probe", settings)
    with_vllm = is_installed()
    for work in works:
        one = Work(1, work.probes, work.image_tokens, work.completion_tokens)
        for side in PROBERS:  # warm up; a kernel that is compiled for a size must be asked for that size
            prepare(side, settings, work if side == "packed" else one)()
        sides = {side: prepare(side, settings, work) for side in PROBERS}
        before: dict[str, Callable[[], object]] = {}
        engine = _start_engine(settings, work) if with_vllm else None
        if engine is not None:
            sides["vllm"], before["vllm"] = partial(engine.score, _probes_of(settings, work)), engine.warm
        runs = time_in_turn(sides, settings, before)
        for own in runs.values():
            own.seconds = [taken * work.group * work.probes / len(own.result) for taken in own.seconds]
        retokenised, difference = _compare_verdicts(settings, work, {side: own.result for side, own in runs.items()})
        row: dict[str, Any] = {"work": str(work)}
        for side in PROBERS:
            row |= runs[side].show(side)
        if engine is not None:
            row["vllm s"] = Spread.of(runs["vllm"].seconds)
            row["cached"] = Spread.of(engine.cache_shares)
            row["vllm difference"] = _largest_difference(runs["vllm"].result, runs["packed"].result)
        report.rows.append({**row, "retokenised": retokenised, "difference": difference})
        for other in ("vllm", "reference", "published") if engine is not None else ("reference", "published"):
            report.ratios[f"probe_packed_over_{other}@{work}"] = compare(runs["packed"].seconds, runs[other].seconds)
    if settings.responses is not None:
        report.notes.append(
            f"published and reference: timed on {settings.responses} responses and scaled to the group"
        )
    report.notes.append(VLLM_NOTE if with_vllm else HOW_TO_GET_IT)
    return report


def _probes_of(settings: Settings, work: Work) -> list[Probe]:
    _, processor = build_model_once(settings.model, settings.device)
    return make_probes(make_rollouts(processor, work), work)


def _start_engine(settings: Settings, work: Work) -> WarmEngine:
    _, processor = build_model_once(settings.model, settings.device)
    engine = WarmEngine(settings.model, settings.device, make_rollouts(processor, work))
    engine.warm()
    engine.score(_probes_of(settings, work))
    engine.cache_shares.clear()
    return engine


def _compare_verdicts(settings: Settings, work: Work, verdicts: dict[str, list[Verdict]]) -> tuple[float, float]:
    """Return the share of probes that retokenising changed, and the largest difference between sides on the others."""
    p_true = {side: np.array([verdict.p_true for verdict in given]) for side, given in verdicts.items()}
    model, processor = build_model_once(settings.model, settings.device)
    probes = [verdict.probe for verdict in verdicts["published"]]
    changed = np.array(RepromptingProber(model, processor).find_retokenised(probes))
    difference = max(
        np.abs(p_true["packed"][: len(changed)] - p_true["reference"]).max(),
        np.abs(p_true["packed"][: len(changed)] - p_true["published"])[~changed].max(initial=0.0),
    )
    if difference > EQUAL and model.dtype == torch.float32:
        raise RuntimeError(f"at {work} verdicts differ by {difference:.2g}, more than {EQUAL}")
    return float(changed.mean()), float(difference)


def _largest_difference(some: list[Verdict], others: list[Verdict]) -> float:
    return max(abs(one.p_true - other.p_true) for one, other in zip(some, others, strict=True))
