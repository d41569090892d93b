"""Vision-Anchored Policy Optimization: train vision-language models to reason without forgetting to look."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vapo.core.grading import grade_answer
    from vapo.core.perception import perception_reward
    from vapo.data.samples import load_samples
    from vapo.diagnosis.diagnose import diagnose
    from vapo.diagnosis.settings import DiagnosisSettings
    from vapo.diagnosis.training_callback import DiagnosisCallback
    from vapo.training.config import VAPOConfig
    from vapo.training.rows import make_training_rows
    from vapo.training.trainer import VAPOTrainer
    from vapo.types import Anchor, Claim, Probe, Reward, Rollout, Sample, Verdict

__version__ = "0.1.0"

# Looked up on first use: `import vapo` and `vapo --help` stay quick while torch and TRL take seconds to import.
_HOMES = {
    "Anchor": "vapo.types",
    "Claim": "vapo.types",
    "DiagnosisCallback": "vapo.diagnosis.training_callback",
    "DiagnosisSettings": "vapo.diagnosis.settings",
    "Probe": "vapo.types",
    "Reward": "vapo.types",
    "Rollout": "vapo.types",
    "Sample": "vapo.types",
    "VAPOConfig": "vapo.training.config",
    "VAPOTrainer": "vapo.training.trainer",
    "Verdict": "vapo.types",
    "diagnose": "vapo.diagnosis.diagnose",
    "grade_answer": "vapo.core.grading",
    "load_samples": "vapo.data.samples",
    "make_training_rows": "vapo.training.rows",
    "perception_reward": "vapo.core.perception",
}

__all__ = [
    "Anchor",
    "Claim",
    "DiagnosisCallback",
    "DiagnosisSettings",
    "Probe",
    "Reward",
    "Rollout",
    "Sample",
    "VAPOConfig",
    "VAPOTrainer",
    "Verdict",
    "diagnose",
    "grade_answer",
    "load_samples",
    "make_training_rows",
    "perception_reward",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vapo' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
