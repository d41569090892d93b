"""Image sensitivity: how far each token of the chain would move if the image were masked.

For token t: KL(p(. | image, chain before t) || p(. | masked image, chain before t)), in nats, at least 0. It is the
measure that PAPO (arXiv 2507.06448) and VPPO (arXiv 2510.09285) build on.
"""

from __future__ import annotations

from vapo.diagnosis.findings import Sensitivity
from vapo.probing.diagnosed_model import Examinee, View
from vapo.types import Rollout


def measure_sensitivity(examinee: Examinee, rollout: Rollout, view: View) -> Sensitivity:
    """Measure one chain; rounding below 0 is 0."""
    if not rollout.completion_ids:
        return Sensitivity(())
    return Sensitivity(tuple(max(0.0, float(value)) for value in examinee.compare_views(rollout, view)))


def dependent_share(sensitivity: Sensitivity, threshold: float) -> float:
    """Return the share of tokens whose divergence passes a threshold in nats; at least one token is needed."""
    return sum(value > threshold for value in sensitivity.by_token) / len(sensitivity.by_token)
