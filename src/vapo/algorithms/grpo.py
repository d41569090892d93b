"""GRPO: the group's answers are graded, nothing is probed (arXiv 2402.03300)."""

from __future__ import annotations

from dataclasses import dataclass

from vapo.algorithms.algorithm import Algorithm


@dataclass(frozen=True, kw_only=True)
class GRPO(Algorithm):
    """Reward the answer and its format alone."""
