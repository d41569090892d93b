"""The named parts of a reward, as verl carries them beside it, and what a step's log makes of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from vapo.core.perception import NUM_QUARTERS, depth_quarter
from vapo.types import Reward
from vapo.verl.asking import AskedProbes

Parts = dict[str, float]

ACCURACY = "acc"
"""verl's own name for it: validation reports it first, and `algorithm.filter_groups.metric` reads it."""

TOTAL = "total_reward"

FILTERS: Mapping[str, str] = {"accuracy": ACCURACY, "reward": TOTAL}
"""The part that `dynamic_sampling` filters groups by; with "none" there is no filter."""

_HITS, _ASKED = "hits_{}", "probes_{}"
_QUARTERS = tuple(f"quarter_{quarter}" for quarter in range(1, NUM_QUARTERS + 1))
_TRUTHS = ("true", "false")


def name_answer(reward: Reward) -> Parts:
    """Return the parts of a completion that was not to be probed."""
    return {ACCURACY: reward.accuracy, "format": reward.format, TOTAL: reward.total}


def name_parts(reward: Reward, asked: AskedProbes, num_drawn: int, num_wanted: int, *, gate_open: bool) -> Parts:
    """Return the parts of a completion's reward; all completions have the same ones, as verl wants it.

    Args:
        reward: of the completion. Its perception is NaN where no probe was answered.
        asked: what came of its probes.
        num_drawn: probes the response had boundaries for.
        num_wanted: probes that the algorithm asks for at most.
        gate_open: whether verdicts can change the reward.
    """
    hits, counts = (dict.fromkeys((*_QUARTERS, *_TRUTHS), 0.0) for _ in range(2))
    for verdict in asked.verdicts:
        quarter = f"quarter_{depth_quarter(verdict.probe.anchor.depth)}"
        for kind in (quarter, "true" if verdict.probe.claim.is_true else "false"):
            hits[kind] += verdict.correct
            counts[kind] += 1
    return {
        **name_answer(reward),
        "perception": math.nan if reward.perception is None else reward.perception,
        "perception_bonus": reward.bonus,
        "gate_open": float(gate_open),
        "probes_wanted": float(num_wanted),
        "probes_drawn": float(num_drawn),
        "probes_asked": float(asked.num_asked),
        "probes_failed": float(asked.num_failed),
        "probes_without_room": float(asked.num_without_room),
        "probes_on_other_weights": float(asked.num_on_other_weights),
        **{_HITS.format(kind): value for kind, value in hits.items()},
        **{_ASKED.format(kind): value for kind, value in counts.items()},
    }


def summarise_parts(rows: Sequence[Parts]) -> dict[str, float]:
    """Return a step's metrics of perception, under the names that a run on TRL logs them by.

    Rates of verdicts are over all probes of the step, rates of completions over all completions.

    Args:
        rows: the parts of each completion; those without probes are left out.
    """
    rows = [row for row in rows if "probes_wanted" in row]
    if not rows:
        return {}

    def add(name: str) -> float:
        return sum(row[name] for row in rows)

    hits = {kind: add(_HITS.format(kind)) for kind in (*_QUARTERS, *_TRUTHS)}
    asked = {kind: add(_ASKED.format(kind)) for kind in (*_QUARTERS, *_TRUTHS)}
    answered, put = asked["true"] + asked["false"], add("probes_asked")
    drawn, wanted = add("probes_drawn"), add("probes_wanted")
    perceptions = [row["perception"] for row in rows if not math.isnan(row["perception"])]
    metrics = {"perception/gate_open": add("gate_open") / len(rows)}
    if wanted:
        metrics["perception/anchors_without_boundary"] = 1 - drawn / wanted
    if put:
        metrics["perception/failed_probes"] = add("probes_failed") / put
        metrics["perception/probes_without_room"] = add("probes_without_room") / put
    if perceptions:
        metrics["perception/reward"] = sum(perceptions) / len(perceptions)
    if answered:
        metrics["perception/accuracy"] = (hits["true"] + hits["false"]) / answered
        metrics["perception/yes_rate"] = (hits["true"] + asked["false"] - hits["false"]) / answered
        metrics["perception/probes_on_other_weights"] = add("probes_on_other_weights") / answered
    for kind in (*_QUARTERS, *_TRUTHS):
        if asked[kind]:
            metrics[f"perception/accuracy_{kind}"] = hits[kind] / asked[kind]
    return metrics
