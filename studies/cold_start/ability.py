"""What a model can do in the lab, measured on digits it never saw: reading, judging claims, answering."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from vapo.algorithms.vapo import VAPO
from vapo.core.grading import grade_sample
from vapo.core.perception import depth_quarter
from vapo.diagnosis.direct_probes import probe_directly
from vapo.lab.claims import claim_kind, make_claims
from vapo.lab.judge import count_looks, judge_readings
from vapo.lab.questions import EARLY, KINDS, LATE, ask
from vapo.lab.world import GRIDS, Grid, Split, draw_scene, photograph
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.generation import sample_completions
from vapo.probing.transformers_prober import TransformersProber
from vapo.types import Rollout, Sample

from .model import LabModel, LabProcessor
from .responses import LOOKS_THAT_LAST, has_guessed

MAX_COMPLETION_TOKENS = 176
_COMPLETIONS = 3  # of a question: few of them are careful


@dataclass(frozen=True, slots=True)
class Ability:
    """Shares in 0..1. `notes`: cells read rightly in the first sentence of greedy responses; `claims`: by kind, right
    after the question; `late_claims`: by quarter of sampled responses; `greedy` and `sampled`: answers by question,
    and of the sampled ones `careful` those that work the answer out and look often enough to read it late, `blind`
    those that do not look; `response_tokens`: mean sampled length."""

    notes: float
    claims: dict[str, float]
    late_claims: dict[str, float]
    greedy: dict[str, float]
    sampled: dict[str, float]
    careful: dict[str, float]
    blind: dict[str, float]
    response_tokens: float
    counts: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the measures as a Markdown table."""
        lines = ["| measure | share | number |", "|---|---|---|"]
        lines.append(f"| cell noted by a greedy response | {self.notes:.3f} | {self.counts['notes']} |")
        for title, shares, number in (
            ("claim at the start", self.claims, self.counts["claims"]),
            ("claim along a sampled response", self.late_claims, self.counts["late_claims"]),
            ("answer, greedy", self.greedy, self.counts["answers"]),
            ("answer, temperature 1", self.sampled, self.counts["sampled"]),
            ("the same, worked out and looked at", self.careful, self.counts["careful"]),
            ("the same, never looked at", self.blind, self.counts["blind"]),
        ):
            lines += [f"| {title}: {name} | {share:.3f} | {number} in all |" for name, share in shares.items()]
        lines.append(f"| tokens in a sampled completion | {self.response_tokens:.1f} | |")
        return "\n".join(lines)


def measure_ability(
    model: LabModel,
    processor: LabProcessor,
    *,
    seed: int = 0,
    split: Split = "heldout",
    answers: int = 400,
    claim_scenes: int = 60,
    grids: tuple[tuple[int, int], ...] = GRIDS,
    batch_size: int = 64,
) -> Ability:
    """Measure a model on newly drawn images of a split; the same seed gives the same images and samples."""
    rng = np.random.default_rng([seed, 21])
    canvas = processor.image_processor.crop_size["height"]
    policy = Policy(model, processor, "lab")

    shown: list[Grid] = []

    def draw(number: int) -> Sample:
        kind = KINDS[number % len(KINDS)]
        scene = draw_scene(rng, *grids[rng.integers(len(grids))], split)
        shown.append(scene.grid)
        question = ask(rng, scene.grid, kind)
        claims = make_claims(rng, scene.grid)
        return Sample(f"{kind}-{number}", (photograph(scene, canvas),), question.text, question.answer, claims)

    def answer(samples: Sequence[Sample], temperature: float, number: int) -> list[list[Rollout]]:
        completions = sample_completions(
            policy,
            samples,
            max_completion_tokens=MAX_COMPLETION_TOKENS,
            num_completions=number,
            temperature=temperature,
            seed=seed,
            batch_size=batch_size,
        )
        return list(completions)

    samples = [draw(number) for number in range(answers)]
    greedy = [own[0] for own in answer(samples, 0, 1)]
    several = answer(samples, 1, _COMPLETIONS)
    sampled = [rollout for own in several for rollout in own]
    careful = [r for r in sampled if not has_guessed(r.text) and count_looks(r.text) >= LOOKS_THAT_LAST]
    blind = [r for r in sampled if count_looks(r.text) == 0]
    noted = [
        right
        for rollout, grid in zip(greedy, shown, strict=True)
        for right in judge_readings(rollout.text.partition(".")[0], grid)
    ]
    at_start, along = _judge_claims(policy, [own[0] for own in several[:claim_scenes]], seed)
    return Ability(
        notes=float(np.mean(noted)) if noted else 0.0,
        claims=_means(at_start),
        late_claims=_means(along),
        greedy=_share_right(greedy),
        sampled=_share_right(sampled),
        careful=_share_right(careful),
        blind=_share_right(blind),
        response_tokens=float(np.mean([len(rollout.completion_ids) for rollout in sampled])),
        counts={
            "notes": len(noted),
            "claims": sum(map(len, at_start.values())),
            "late_claims": sum(map(len, along.values())),
            "answers": answers,
            "sampled": len(sampled),
            "careful": len(careful),
            "blind": len(blind),
        },
    )


def _share_right(rollouts: Sequence[Rollout]) -> dict[str, float]:
    right: dict[str, list[bool]] = defaultdict(list)
    for rollout in rollouts:
        verdict = grade_sample(rollout.text, rollout.sample) == 1
        right[rollout.sample.id.split("-")[0]].append(verdict)
    shares = _means(right)
    for title, kinds in (("all", KINDS), ("early", EARLY), ("late", LATE)):
        if own := [shares[kind] for kind in kinds if kind in shares]:
            shares[title] = float(np.mean(own))
    return shares


def _means(verdicts: Mapping[str, Sequence[bool]]) -> dict[str, float]:
    return {name: float(np.mean(verdicts[name])) for name in sorted(verdicts)}


def _judge_claims(
    policy: Policy, rollouts: Sequence[Rollout], seed: int
) -> tuple[dict[str, list[bool]], dict[str, list[bool]]]:
    """Ask each image's claims right after the question, by kind, and along the response, by quarter of its depth."""
    prober = TransformersProber(policy.model, policy.processor)
    algorithm = VAPO(num_anchors=20, anchor_sharing="group")  # as many probes for short responses as for long ones
    first = [probe for rollout in rollouts for probe in probe_directly(rollout, rollout.sample.claims)]
    later = [
        probe
        for number, rollout in enumerate(rollouts)
        for probe in algorithm.probes(rollout, np.random.default_rng([seed, 22, number]))
    ]
    at_start: dict[str, list[bool]] = defaultdict(list)
    along: dict[str, list[bool]] = defaultdict(list)
    for verdict in prober.score(first):
        at_start[claim_kind(verdict.probe.claim.text)].append(verdict.correct)
    for verdict in prober.score(later):
        along[f"quarter {depth_quarter(verdict.probe.anchor.depth)}"].append(verdict.correct)
    return at_start, along
