"""VAPO: probes at anchors along the chain, and their weighted hit rate as a reward (arXiv 2509.25848, Section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vapo.algorithms.algorithm import Needs
from vapo.core.anchors import place_anchors, snap_anchors
from vapo.core.perception import perception_reward
from vapo.core.rewards import compose_reward, gate_openness, relaxed_openness
from vapo.types import Claim, Probe, Reward, Rollout, Verdict

if TYPE_CHECKING:
    from numpy.random import Generator

    from vapo.core.anchors import Placement
    from vapo.core.rewards import Gate

Sharing = Literal["independent", "group"]
VerdictKind = Literal["hard", "soft"]


@dataclass(frozen=True, slots=True)
class VAPO:
    """Reward a right answer for a chain along which the model still sees.

    Attributes:
        num_anchors: K, probes per completion.
        late_emphasis: beta of Eq 4; larger counts late anchors more.
        perception_weight: gamma of Eq 5.
        placement: how anchors are drawn among the logical boundaries.
        min_distance: least number of tokens between neighbouring anchors.
        sharing: "independent" draws anchors and claims for each completion as the paper does; "group" asks every
            completion of a group the same claims at the same relative depths, so that luck in the draw cancels out of
            the comparison within the group.
        verdict: "hard" counts right answers, as the paper does; "soft" averages the probability of the label.
        gate: which answers the perception reward reaches, see `compose_reward`.
        rescale: as the published code does, max((x - 0.5) / 0.5, 0).
    """

    num_anchors: int = 20
    late_emphasis: float = 1.5
    perception_weight: float = 0.1
    placement: Placement = "random"
    min_distance: int = 1
    sharing: Sharing = "independent"
    verdict: VerdictKind = "hard"
    gate: Gate = "strict"
    rescale: bool = False
    accuracy_weight: float = 1.0
    format_weight: float = 1.0

    @property
    def needs(self) -> Needs:
        """Claims, unless no anchor is asked for; equal draws within a group if the group shares its probes.

        An accuracy, where a gate stands before a reward that weighs something.
        """
        return Needs(
            claims=self.num_anchors > 0,
            shared_draws=self.sharing == "group",
            accuracy=self.num_anchors > 0 and self.perception_weight > 0 and self.gate != "none",
        )

    def probes(self, rollout: Rollout, rng: Generator) -> Sequence[Probe]:
        """Return up to `num_anchors` probes; fewer where the chain has fewer boundaries."""
        if self.num_anchors == 0:
            return ()
        claims = draw_claims(rollout.sample.claims, self.num_anchors, rng)
        if self.sharing == "group":
            depths = sorted(rng.random(self.num_anchors).tolist())
            anchors = snap_anchors(rollout.token_texts, depths)
        else:
            anchors = place_anchors(
                rollout.token_texts,
                self.num_anchors,
                rng,
                placement=self.placement,
                min_distance=self.min_distance,
            )
        return [Probe(rollout, anchor, claim) for anchor, claim in zip(anchors, claims, strict=False)]

    def hears(self, accuracy: float, progress: float) -> bool:
        """Return whether the gate is open, and perception is worth anything at all."""
        return self.perception_weight > 0 and gate_openness(self.gate, accuracy, relaxed_openness(progress)) > 0

    def reward(self, accuracy: float, format: float, verdicts: Sequence[Verdict], progress: float) -> Reward:
        """Return w_acc * accuracy + w_fmt * format + gamma * gate * R_perc (Eq 4 and 5)."""
        perception = None
        if verdicts:
            hits = [float(v.correct) if self.verdict == "hard" else v.p_label for v in verdicts]
            depths = [v.probe.anchor.depth for v in verdicts]
            perception = perception_reward(hits, depths, self.late_emphasis, self.rescale)
        return compose_reward(
            accuracy,
            format,
            perception,
            perception_weight=self.perception_weight,
            accuracy_weight=self.accuracy_weight,
            format_weight=self.format_weight,
            gate=self.gate,
            relaxed=relaxed_openness(progress),
        )


def draw_claims(pool: Sequence[Claim], count: int, rng: Generator) -> list[Claim]:
    """Draw `count` claims at random, each as often as any other: without repeats until the pool is used up.

    Raises:
        ValueError: the pool is empty.
    """
    if not pool:
        raise ValueError("the sample has no claims to draw from; attach claims to every row or train with GRPO")
    drawn: list[Claim] = []
    while len(drawn) < count:
        drawn.extend(pool[int(number)] for number in rng.permutation(len(pool)))
    return drawn[:count]
