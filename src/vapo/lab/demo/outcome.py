"""What the demo came to: models diagnosed, learning curves, comparison, conclusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vapo.diagnosis.curves import Curve
from vapo.diagnosis.findings import ModelFindings
from vapo.lab.demo.paired import Row

BEFORE, GRPO, VAPO = range(3)
"""Places of the models."""

PAGE = "demo.html"
"""File in the demo's folder."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished demo has to show.

    Attributes:
        models: what was found about each, diagnosed on the same questions.
        learning: what the completions of training came to, by step.
        rows: the models in numbers.
        conclusion: what it comes to, in sentences.
        settings: all that it depends on.
    """

    models: tuple[ModelFindings, ModelFindings, ModelFindings]
    learning: tuple[Curve, ...]
    rows: tuple[Row, ...]
    conclusion: tuple[str, ...]
    settings: dict[str, Any]
