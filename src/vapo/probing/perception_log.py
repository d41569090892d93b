"""What a run reports about perception: by depth, per step, and per completion in the sample tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from vapo.core.perception import depth_quarter
from vapo.probing.perception_scorer import ScoredRollout
from vapo.types import Verdict


class PerceptionLog:
    """Report verdicts through TRL's metrics and completion tables.

    Args:
        log_metric: takes a name and a value; values of one step are averaged over all processes.
        log_extra: takes a column name and one value per completion.
        max_probes: probes asked for per completion; those the response had no boundary for are reported as missing.
    """

    def __init__(
        self,
        log_metric: Callable[[str, float], None],
        log_extra: Callable[[str, list[Any]], None],
        max_probes: int,
    ) -> None:
        self._log_metric = log_metric
        self._log_extra = log_extra
        self._max_probes = max_probes

    def add(self, scored: Sequence[ScoredRollout], *, tables: bool) -> None:
        """Report one batch; `tables` adds each completion's length and verdicts to the sample table."""
        for own in scored:
            self._log_metric("perception/gate_open", float(own.gate_open))
            if self._max_probes:
                self._log_metric("perception/anchors_without_boundary", 1 - len(own.probes) / self._max_probes)
            if own.reward.perception is not None:
                self._log_metric("perception/reward", own.reward.perception)
            for verdict in own.verdicts:
                self._log_metric("perception/accuracy", float(verdict.correct))
                quarter = depth_quarter(verdict.probe.anchor.depth)
                self._log_metric(f"perception/accuracy_quarter_{quarter}", float(verdict.correct))
        if tables:
            self._log_extra("num_tokens", [len(own.rollout.completion_ids) for own in scored])
            self._log_extra("anchors", [describe_verdicts(own.verdicts) for own in scored])


def describe_verdicts(verdicts: Sequence[Verdict]) -> str:
    """Return a completion's verdicts as JSON, in the order of its response."""
    rows = [
        {
            "index": verdict.probe.anchor.index,
            "depth": round(verdict.probe.anchor.depth, 4),
            "before": "".join(verdict.probe.rollout.token_texts[: verdict.probe.anchor.index])[-40:],
            "claim": verdict.probe.claim.text,
            "is_true": verdict.probe.claim.is_true,
            "p_true": round(verdict.p_true, 4),
            "correct": verdict.correct,
        }
        for verdict in sorted(verdicts, key=lambda verdict: verdict.probe.anchor.index)
    ]
    return json.dumps(rows, ensure_ascii=False)
