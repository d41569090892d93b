"""Vision-Anchored Policy Optimization: train vision-language models to reason without forgetting to look."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vapo.versions import OWN

if TYPE_CHECKING:
    from vapo.algorithms.algorithm import Algorithm as Algorithm
    from vapo.algorithms.algorithm import Needs as Needs
    from vapo.algorithms.algorithm import SecondView as SecondView
    from vapo.algorithms.algorithm import TokenScores as TokenScores
    from vapo.algorithms.options import option as option
    from vapo.algorithms.vapo import draw_claims as draw_claims
    from vapo.claims.making.make import make_claims as make_claims
    from vapo.claims.quality.wording import measure_wording as measure_wording
    from vapo.core.anchors import place_anchors as place_anchors
    from vapo.core.grading import grade_answer as grade_answer
    from vapo.core.perception import perception_reward as perception_reward
    from vapo.core.rewards import compose_reward as compose_reward
    from vapo.core.tree import Tree as Tree
    from vapo.core.tree import Twig as Twig
    from vapo.core.tree import lay_out as lay_out
    from vapo.data.columns import Columns as Columns
    from vapo.data.samples import load_samples as load_samples
    from vapo.diagnosis.diagnose import diagnose as diagnose
    from vapo.diagnosis.settings import DiagnosisSettings as DiagnosisSettings
    from vapo.diagnosis.training_callback import DiagnosisCallback as DiagnosisCallback
    from vapo.diagnosis.transformers.transformers_model import TransformersModel as TransformersModel
    from vapo.lab.shipped import resolve_data as resolve_data
    from vapo.lab.shipped import resolve_model as resolve_model
    from vapo.models.policy.checkpoint import load_policy as load_policy
    from vapo.stop_condition import StopCallback as StopCallback
    from vapo.training.cached_rows import make_training_rows as make_training_rows
    from vapo.training.config import VAPOConfig as VAPOConfig
    from vapo.training.trainer import VAPOTrainer as VAPOTrainer
    from vapo.types import Anchor as Anchor
    from vapo.types import Claim as Claim
    from vapo.types import Probe as Probe
    from vapo.types import Reward as Reward
    from vapo.types import Rollout as Rollout
    from vapo.types import Sample as Sample
    from vapo.types import Verdict as Verdict


__version__ = OWN

# Looked up on first use: `import vapo` and `vapo --help` stay quick while torch and TRL take seconds to import.
_MODULES = {
    "vapo.algorithms.algorithm": ("Algorithm", "Needs", "SecondView", "TokenScores"),
    "vapo.algorithms.options": ("option",),
    "vapo.algorithms.vapo": ("draw_claims",),
    "vapo.claims.making.make": ("make_claims",),
    "vapo.claims.quality.wording": ("measure_wording",),
    "vapo.core.anchors": ("place_anchors",),
    "vapo.core.grading": ("grade_answer",),
    "vapo.core.perception": ("perception_reward",),
    "vapo.core.rewards": ("compose_reward",),
    "vapo.core.tree": ("Tree", "Twig", "lay_out"),
    "vapo.data.columns": ("Columns",),
    "vapo.data.samples": ("load_samples",),
    "vapo.diagnosis.diagnose": ("diagnose",),
    "vapo.diagnosis.settings": ("DiagnosisSettings",),
    "vapo.diagnosis.training_callback": ("DiagnosisCallback",),
    "vapo.diagnosis.transformers.transformers_model": ("TransformersModel",),
    "vapo.lab.shipped": ("resolve_data", "resolve_model"),
    "vapo.models.policy.checkpoint": ("load_policy",),
    "vapo.training.config": ("VAPOConfig",),
    "vapo.stop_condition": ("StopCallback",),
    "vapo.training.cached_rows": ("make_training_rows",),
    "vapo.training.trainer": ("VAPOTrainer",),
    "vapo.types": ("Anchor", "Claim", "Probe", "Reward", "Rollout", "Sample", "Verdict"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}
__all__ = sorted(_MODULE_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'vapo' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)
