"""An evaluation made up by hand, as it is read back from its file."""

from __future__ import annotations

from typing import Any

from vapo.diagnosis.estimates import Estimate
from vapo.diagnosis.perception import Perception, PerceptionAt
from vapo.diagnosis.summary import Evaluation


def make_evaluation(**settings: Any) -> Evaluation:
    def share(value: float) -> Estimate:
        return Estimate(value, value - 0.1, value + 0.1, 40)

    def part(where: str, value: float) -> PerceptionAt:
        return PerceptionAt(where, 120, share(value), share(value))

    quarters = tuple(part(f"quarter {quarter} of 4", 0.9 - quarter / 10) for quarter in (1, 2, 3, 4))
    perception = Perception(part("before the response", 0.9), quarters, part("along", 0.65), share(-0.4), 0, 0)
    return Evaluation(
        model="/home/someone/runs/first",
        data="/home/someone/charts.parquet",
        settings={"num_completions": 0, "max_completion_tokens": 64, "num_anchors": 3, "seed": 0, **settings},
        num_skipped_rows=0,
        accuracy=share(0.6),
        average=None,
        wrong=share(0.3),
        unanswered=share(0.1),
        format_rate=share(0.8),
        truncated=share(0.2),
        num_tokens=Estimate(50.5, 45, 55.25, 40),
        perception=perception,
        rows=(),
    )
