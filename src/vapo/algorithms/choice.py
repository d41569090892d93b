"""The algorithm that a run's options describe, whichever engine they are the options of."""

from __future__ import annotations

from typing import Protocol

from vapo.algorithms.algorithm import Algorithm
from vapo.algorithms.grpo import GRPO
from vapo.algorithms.vapo import VAPO, Sharing, VerdictKind
from vapo.core.anchors import Placement
from vapo.core.rewards import Gate


class Choices(Protocol):
    """Options by the names they have on the command line; values left to a preset are filled in by now."""

    @property
    def algorithm(self) -> str: ...
    @property
    def num_anchors(self) -> int: ...
    @property
    def late_emphasis(self) -> float: ...
    @property
    def perception_weight(self) -> float: ...
    @property
    def anchor_placement(self) -> Placement: ...
    @property
    def min_anchor_distance(self) -> int: ...
    @property
    def anchor_sharing(self) -> Sharing: ...
    @property
    def verdict(self) -> VerdictKind: ...
    @property
    def accuracy_gate(self) -> Gate | None: ...
    @property
    def rescale_perception(self) -> bool | None: ...
    @property
    def accuracy_weight(self) -> float | None: ...
    @property
    def format_weight(self) -> float | None: ...


def make_algorithm(options: Choices) -> Algorithm:
    """Return the algorithm that options describe: "grpo", or else VAPO."""
    assert options.accuracy_weight is not None and options.format_weight is not None
    if options.algorithm == "grpo":
        return GRPO(accuracy_weight=options.accuracy_weight, format_weight=options.format_weight)
    assert options.accuracy_gate is not None and options.rescale_perception is not None
    return VAPO(
        num_anchors=options.num_anchors,
        late_emphasis=options.late_emphasis,
        perception_weight=options.perception_weight,
        placement=options.anchor_placement,
        min_distance=options.min_anchor_distance,
        sharing=options.anchor_sharing,
        verdict=options.verdict,
        gate=options.accuracy_gate,
        rescale=options.rescale_perception,
        accuracy_weight=options.accuracy_weight,
        format_weight=options.format_weight,
    )
