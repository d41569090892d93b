"""What the agent loop is told: the method's options and how probes are asked, as the agent-loop file writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from vapo.algorithms.algorithm import Algorithm
from vapo.algorithms.choice import make_algorithm
from vapo.algorithms.vapo import Sharing, VerdictKind
from vapo.core.anchors import Placement
from vapo.core.rewards import PRESETS, Gate
from vapo.errors import ConfigError, tell_nearest
from vapo.models.questions import PROBE_TEMPLATE, check_probe_template

AGENT_NAME = "vapo"
TARGET = "vapo.engines.verl.agent_loop.VAPOAgentLoop"
"""The agent loop's name and its class, as verl's registry and agent-loop files have them."""

_PAPER = PRESETS["paper"]
_CHOICES: dict[str, tuple[str, ...]] = {
    "algorithm": ("vapo", "grpo"),
    "anchor_placement": get_args(Placement),
    "anchor_sharing": get_args(Sharing),
    "verdict": get_args(VerdictKind),
    "accuracy_gate": get_args(Gate),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSettings:
    """Settings of the agent loop `vapo`; the names and defaults are those of `VAPOConfig` with `preset="paper"`.

    Attributes:
        probe_timeout: seconds after which a probe counts as failed, its time in the server's queue included.
        validation_probes: whether rows of the validation file are probed as well; it changes no training.
    """

    algorithm: Literal["vapo", "grpo"] = "vapo"
    num_anchors: int = 20
    late_emphasis: float = _PAPER.late_emphasis
    perception_weight: float = _PAPER.perception_weight
    anchor_placement: Placement = "random"
    min_anchor_distance: int = 1
    anchor_sharing: Sharing = "independent"
    verdict: VerdictKind = "hard"
    accuracy_gate: Gate = _PAPER.gate
    rescale_perception: bool = _PAPER.rescale_perception
    accuracy_weight: float = _PAPER.accuracy_weight
    format_weight: float = _PAPER.format_weight
    probe_template: str = PROBE_TEMPLATE
    probe_seed: int = 42
    silent_share: float = 1.0
    probe_timeout: float = 300.0
    validation_probes: bool = False

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ConfigError(f"{name} must be one of {', '.join(allowed)}, but is {getattr(self, name)!r}")
        if not 0 <= self.silent_share <= 1:
            raise ConfigError(f"silent_share must be in [0, 1], but is {self.silent_share}")
        if self.probe_timeout <= 0:
            raise ConfigError(f"probe_timeout must be more than 0 seconds, but is {self.probe_timeout}")
        if self.num_anchors < 0:
            raise ConfigError(f"num_anchors must be at least 0, but is {self.num_anchors}")
        check_probe_template(self.probe_template)

    def make_algorithm(self) -> Algorithm:
        """Return the algorithm these settings describe."""
        return make_algorithm(self)

    def as_dict(self) -> dict[str, Any]:
        """Return the settings by name, as the agent-loop file holds them."""
        return asdict(self)


def read_settings(given: Mapping[str, Any]) -> LoopSettings:
    """Return the settings that an agent-loop file gives; what it leaves out keeps its default.

    Raises:
        ConfigError: a name is unknown (the nearest right one is told), or a value is out of its range.
    """
    known = [field.name for field in fields(LoopSettings)]
    for name in given:
        if name not in known:
            raise ConfigError(f"the agent loop {AGENT_NAME!r} has no setting {name!r}{tell_nearest(name, known)}")
    return LoopSettings(**given)
