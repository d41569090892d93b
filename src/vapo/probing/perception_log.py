"""What a run reports about perception: by depth, per step, and per completion in the sample tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from vapo.algorithms.algorithm import Algorithm
from vapo.core.agreement import centred_correlation
from vapo.core.perception import depth_quarter
from vapo.probing.perception_scorer import ScoredRollout
from vapo.types import Verdict

ANCHORS = "anchors"
"""The column of the sample tables that holds verdicts, see `describe_verdicts`."""


class PerceptionLog:
    """Report verdicts through TRL's metrics and completion tables.

    Args:
        log_metric: takes a name and a value; values of one step are averaged over all processes.
        log_extra: takes a column name and one value per completion.
        algorithm: says how many probes a completion should have, of which those that it had no boundary for are
            reported as missing, and what verdicts are worth.
        count_unclaimed: whether completions to rows without claims are counted. They are no part of other numbers.
    """

    def __init__(
        self,
        log_metric: Callable[[str, float], None],
        log_extra: Callable[[str, list[Any]], None],
        algorithm: Algorithm,
        *,
        count_unclaimed: bool = False,
    ) -> None:
        self._log_metric = log_metric
        self._log_extra = log_extra
        self._algorithm = algorithm
        self._count_unclaimed = count_unclaimed

    def add(self, scored: Sequence[ScoredRollout], *, tables: bool) -> None:
        """Report one batch; `tables` adds each completion's length and verdicts to the sample table."""
        for own in scored:
            if self._count_unclaimed:
                claimed = bool(own.rollout.sample.claims)
                self._log_metric("perception/rows_without_claims", float(not claimed))
                if not claimed:
                    continue
            self._log_metric("perception/gate_open", float(own.gate_open))
            if self._algorithm.max_probes:
                missing = 1 - len(own.probes) / self._algorithm.max_probes
                self._log_metric("perception/anchors_without_boundary", missing)
            if own.reward.perception is not None:
                self._log_metric("perception/reward", own.reward.perception)
            for verdict in own.verdicts:
                self._log_metric("perception/accuracy", float(verdict.correct))
                self._log_metric("perception/yes_rate", float(verdict.says_yes))
                truth = "true" if verdict.probe.claim.is_true else "false"
                self._log_metric(f"perception/accuracy_{truth}", float(verdict.correct))
                quarter = depth_quarter(verdict.probe.anchor.depth)
                self._log_metric(f"perception/accuracy_quarter_{quarter}", float(verdict.correct))
        agreement = self._correlate_halves(scored)
        if agreement is not None:
            self._log_metric("perception/split_half_correlation", agreement)
        if tables:
            self._log_extra("num_tokens", [len(own.rollout.completion_ids) for own in scored])
            self._log_extra(ANCHORS, [describe_verdicts(own.verdicts) for own in scored])

    def _correlate_halves(self, scored: Sequence[ScoredRollout]) -> float | None:
        """Return how far two halves of the probes agree on which responses of a prompt see best."""
        halves: list[tuple[float, float]] = []
        prompts: list[int] = []
        for own in scored:
            verdicts = sorted(own.verdicts, key=lambda verdict: verdict.probe.anchor.index)
            if own.gate_open and len(verdicts) > 1:
                first, second = (
                    self._algorithm.reward(own.reward.accuracy, own.reward.format, half, 0.0).perception
                    for half in (verdicts[::2], verdicts[1::2])
                )
                if first is not None and second is not None:
                    halves.append((first, second))
                    prompts.append(id(own.rollout.sample))  # the responses of a prompt share one
        return centred_correlation(halves, prompts)


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
