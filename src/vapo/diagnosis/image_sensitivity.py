"""Image sensitivity: how far each token of the response would move if the image were masked.

For token t: KL(p(. | image, response before t) || p(. | masked image, response before t)), in nats, at least 0. It is
the measure that PAPO (arXiv 2507.06448) and VPPO (arXiv 2510.09285) build on.
"""

from __future__ import annotations

from vapo.diagnosis.findings import Sensitivity
from vapo.models.diagnosed_model import DiagnosedModel, View
from vapo.types import Rollout


def measure_sensitivity(diagnosed_model: DiagnosedModel, rollout: Rollout, view: View) -> Sensitivity:
    """Measure one response; rounding below 0 is 0."""
    if not rollout.completion_ids:
        return Sensitivity(())
    return Sensitivity(tuple(max(0.0, float(value)) for value in diagnosed_model.compare_views(rollout, view)))


def dependent_share(sensitivity: Sensitivity, threshold: float) -> float:
    """Return the share of tokens whose divergence passes a threshold in nats; at least one token is needed."""
    return sum(value > threshold for value in sensitivity.by_token) / len(sensitivity.by_token)
