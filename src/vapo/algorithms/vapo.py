"""VAPO: probes at anchors along the response, their weighted hit rate as a reward (arXiv 2509.25848, Section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vapo.algorithms.algorithm import Algorithm, Needs
from vapo.algorithms.options import option
from vapo.core.advantages import perception_advantages
from vapo.core.anchors import Placement, place_anchors, snap_anchors
from vapo.core.perception import perception_reward
from vapo.core.rewards import Gate, compose_reward, gate_weight, relaxed_gate_weight
from vapo.errors import ConfigError
from vapo.types import Claim, Probe, Reward, Rollout, Verdict

if TYPE_CHECKING:
    from numpy.random import Generator


@dataclass(frozen=True, kw_only=True)
class VAPO(Algorithm):
    """Reward a right answer for a response along which the model still sees."""

    num_anchors: int = option(20, "K: probes per completion.", at_least=0)
    late_emphasis: float = option(
        1.5, "beta of Eq 4: weight exp(beta * depth) of an anchor. 0 weighs all alike.", at_least=0
    )
    perception_weight: float = option(
        0.1,
        "gamma of Eq 5. With 0 the update equals GRPO's; probes are still measured. Where the perception reward is "
        "normalised by itself (perception_credit='advantage', or multi_objective_aggregation='normalize_then_sum'), "
        "what it is multiplied by afterwards.",
        at_least=0,
    )
    perception_credit: Literal["reward", "advantage"] = option(
        "reward",
        "'reward' adds perception to the reward of its response, which is normalised within the group (the paper). "
        "'advantage' normalises it by itself, among the responses that the accuracy gate lets through, and adds it "
        "to the advantage.",
    )
    anchor_placement: Placement = option("random", "How anchors are chosen among the response's logical boundaries.")
    anchor_sharing: Literal["independent", "group"] = option(
        "independent",
        "'independent' draws for each completion (the paper); 'group' asks all completions of a prompt the same "
        "claims at boundaries of nearly the same rank, and anchor_placement has no effect.",
    )
    claim_draws: Literal["balanced", "uniform"] = option(
        "balanced",
        "How claims are drawn from the image's own: 'balanced' draws half true and half false ones, so that yes to "
        "all earns one half; 'uniform' goes by no truth (the paper).",
    )
    verdict: Literal["hard", "soft"] = option(
        "hard", "'hard' counts right answers (the paper); 'soft' averages P(label)."
    )
    accuracy_gate: Gate = option(
        "strict",
        "Whom the perception reward reaches: right answers only (strict), wrong ones less and less as training goes "
        "on (relaxed) or as far as they are right (graded), all (none).",
    )
    gate_threshold: float = option(
        1.0,
        "The least accuracy of a right answer, above 0, where a reward function of one's own grades answers in "
        "between.",
        at_least=0,
        at_most=1,
    )
    # Here for preset "released" alone: the paper's reward is not rescaled.
    rescale_perception: bool = option(False, "Use max((x - 0.5) / 0.5, 0) for x, as the published code does.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gate_threshold == 0:
            raise ConfigError("gate_threshold must be above 0; accuracy_gate='none' lets all answers through")
        if self.accuracy_gate == "none" and self.gate_threshold != 1:
            raise ConfigError(
                f"gate_threshold={self.gate_threshold} says nothing where accuracy_gate='none' lets all answers "
                "through; leave one of the two out"
            )

    @property
    def needs(self) -> Needs:
        """Claims, and what the gate reads, where the reward weighs something; nothing without anchors."""
        probes = self.num_anchors > 0
        counts = probes and self.perception_weight > 0
        return Needs(
            claims=probes,
            shared_draws=self.anchor_sharing == "group",
            accuracy=counts and self.accuracy_gate != "none",
            progress=counts and self.accuracy_gate == "relaxed",
            probabilities=self.verdict == "soft",
            bonus=counts and self.perception_credit == "reward",
            advantages=counts and self.perception_credit == "advantage",
        )

    @property
    def max_probes(self) -> int:
        """K."""
        return self.num_anchors

    def probes(self, rollout: Rollout, rng: Generator) -> Sequence[Probe]:
        """Return up to `num_anchors` probes; fewer where the response has fewer boundaries."""
        if self.num_anchors == 0:
            return ()
        claims = draw_claims(rollout.sample.claims, self.num_anchors, rng, balanced=self.claim_draws == "balanced")
        texts, tags = rollout.token_texts, rollout.think_tags
        if self.anchor_sharing == "group":
            anchors = snap_anchors(texts, rng.random(self.num_anchors).tolist(), tags)
        else:
            anchors = place_anchors(texts, self.num_anchors, rng, placement=self.anchor_placement, tags=tags)
        return [Probe(rollout, anchor, claim) for anchor, claim in zip(anchors, claims, strict=False)]

    def uses_verdicts(self, accuracy: float, progress: float) -> bool:
        """Return whether the gate is open, and perception is worth anything at all."""
        return self.perception_weight > 0 and self._weigh_gate(accuracy, progress) > 0

    def reward(self, accuracy: float, format: float, verdicts: Sequence[Verdict], progress: float) -> Reward:
        """Return w_acc * accuracy + w_fmt * format + gamma * gate * R_perc (Eq 4 and 5).

        With `perception_credit` "advantage" the last term is 0: `added_advantages` takes its place.
        """
        perception = None
        if verdicts:
            hits = [self.grade_verdict(v) for v in verdicts]
            depths = [v.probe.anchor.depth for v in verdicts]
            perception = perception_reward(hits, depths, self.late_emphasis, self.rescale_perception)
        return compose_reward(
            accuracy,
            format,
            perception,
            perception_weight=self.perception_weight if self.perception_credit == "reward" else 0.0,
            accuracy_weight=self.accuracy_weight,
            format_weight=self.format_weight,
            gate=self.accuracy_gate,
            gate_threshold=self.gate_threshold,
            relaxed=relaxed_gate_weight(progress),
        )

    def grade_verdict(self, verdict: Verdict) -> float:
        """Return what a verdict counts, in [0, 1]."""
        return float(verdict.correct) if self.verdict == "hard" else verdict.p_label

    def added_advantages(self, group: Sequence[Reward], progress: float) -> Sequence[float]:
        """Return perception_weight times the normalised perception rewards of those whom the gate lets through."""
        gates = [self._weigh_gate(one.accuracy, progress) for one in group]
        weight = self.perception_weight if self.perception_credit == "advantage" else 0.0
        return (weight * perception_advantages([one.perception for one in group], gates)).tolist()

    def _weigh_gate(self, accuracy: float, progress: float) -> float:
        return gate_weight(self.accuracy_gate, accuracy, relaxed_gate_weight(progress), self.gate_threshold)


def draw_claims(pool: Sequence[Claim], count: int, rng: Generator, *, balanced: bool = True) -> list[Claim]:
    """Draw `count` claims at random.

    Balanced: of each two in a row one is true and one false, so that one answer to all earns 1/2. Which of the two
    comes first is random, so truth does not depend on the place, and a last single claim is as likely true as false.
    Claims of the same truth are drawn equally often: without repeats until they are used up. A pool of one truth gives
    that alone; there the same answer to all earns 1, or 0.

    Otherwise each claim is drawn as often as any other, without repeats until the pool is used up.

    Raises:
        ValueError: the pool is empty.
    """
    if not pool:
        raise ValueError("the sample has no claims to draw from; attach claims to every row or train with GRPO")
    by_truth = [claims for truth in (True, False) if (claims := [claim for claim in pool if claim.is_true == truth])]
    if not balanced or len(by_truth) == 1:
        return _draw_in_turn(pool, count, rng)
    true, false = (_draw_in_turn(claims, -(-count // 2), rng) for claims in by_truth)
    pairs = (pair if rng.random() < 0.5 else pair[::-1] for pair in zip(true, false, strict=True))
    return [claim for pair in pairs for claim in pair][:count]


def _draw_in_turn(claims: Sequence[Claim], count: int, rng: Generator) -> list[Claim]:
    drawn: list[Claim] = []
    while len(drawn) < count:
        drawn.extend(claims[int(number)] for number in rng.permutation(len(claims)))
    return drawn[:count]
