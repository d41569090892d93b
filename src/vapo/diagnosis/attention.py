"""Visual attention: which share of each generated token's attention goes to the image.

For token t, layer l and head h: the sum of the attention weights on image tokens, in [0, 1]. The curves average over
layers and heads.

Source: arXiv 2509.25848, Section 3.2 and Appendix A.4.
"""

from __future__ import annotations

import numpy as np

from vapo.diagnosis.findings import Attention
from vapo.models.diagnosed_model import DiagnosedModel
from vapo.types import Rollout


def measure_attention(diagnosed_model: DiagnosedModel, rollout: Rollout) -> Attention:
    """Measure one response, in one pass over it; a response of no tokens has no attention."""
    if not rollout.completion_ids:
        return Attention((), ())
    shares_TLH = np.asarray(diagnosed_model.attend_to_image(rollout), dtype=np.float64)
    by_token = shares_TLH.mean(axis=(1, 2))
    by_head = shares_TLH.mean(axis=0)
    return Attention(tuple(map(float, by_token)), tuple(tuple(map(float, heads)) for heads in by_head))
