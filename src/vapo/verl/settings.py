"""What the agent loop is told: the method's options and how probes are asked, as the agent-loop file writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from vapo.algorithms.algorithm import Algorithm
from vapo.algorithms.options import check_options, describe_unknown, make_options_class
from vapo.algorithms.registry import make_algorithm
from vapo.algorithms.vapo import VAPO
from vapo.errors import ConfigError
from vapo.models.questions import PROBE_TEMPLATE, check_probe_template
from vapo.models.think_tags import AUTO, read_think_tags

AGENT_NAME = "vapo"
TARGET = "vapo.verl.agent_loop.VAPOAgentLoop"
"""The agent loop's name and its class, as verl's registry and agent-loop files have them."""

_VAPOOptions: Any = make_options_class("_VAPOOptions", VAPO, frozen=True)


@dataclass(frozen=True, kw_only=True)
class LoopSettings(_VAPOOptions):
    """Settings of the agent loop `vapo`; the names and defaults are those of `VAPOConfig` without a preset.

    Attributes:
        probe_timeout: seconds after which a probe counts as failed, its time in the server's queue included.
        validation_probes: whether rows of the validation file are probed as well; it changes no training.
    """

    algorithm: str = "vapo"
    algorithm_options: dict[str, Any] = field(default_factory=dict, hash=False)
    probe_template: str = PROBE_TEMPLATE
    think_tags: str = AUTO
    probe_seed: int = 42
    closed_gate_probe_share: float = 1.0
    probe_timeout: float = 300.0
    validation_probes: bool = False

    def __post_init__(self) -> None:
        check_options(self, {"closed_gate_probe_share": (0, 1)})
        if self.probe_timeout <= 0:
            raise ConfigError(f"probe_timeout must be more than 0 seconds, but is {self.probe_timeout}")
        check_probe_template(self.probe_template)
        read_think_tags(self.think_tags)

    def make_algorithm(self) -> Algorithm:
        """Return the algorithm these settings describe."""
        algorithm = make_algorithm(self, self.algorithm_options)
        needs = algorithm.needs
        if needs.token_weights or needs.verdict_weights or needs.token_loss or needs.summary:
            raise ConfigError(
                f"algorithm {self.algorithm!r} weighs tokens or responses, or adds to the loss of tokens, which a "
                "plug-in of verl cannot; train it with `vapo train`"
            )
        if needs.advantages:
            raise ConfigError(
                f"algorithm {self.algorithm!r} adds to advantages (as with perception_credit='advantage'), which a "
                "plug-in of verl cannot; train it with `vapo train`, or set perception_credit='reward'"
            )
        if needs.image_similarity or needs.image_attention is not None:
            raise ConfigError(
                f"algorithm {self.algorithm!r} needs the similarity of tokens to the image, or attention on it, and a "
                "plug-in of verl sees neither states nor attention; train it with `vapo train`"
            )
        if needs.second_view is not None:
            raise ConfigError(
                f"algorithm {self.algorithm!r} needs a second view of the image, and a plug-in of verl has none; "
                "train it with `vapo train`"
            )
        return algorithm

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
            raise ConfigError(f"the agent loop {AGENT_NAME!r} has no setting {name!r}{describe_unknown(name, known)}")
    return LoopSettings(**given)
