"""Perception by depth: the same claims asked before the response and along it, with the image and without.

What a model answers with a blank image, or with none, it knows from the text; what it answers better with the image,
it sees. All responses are asked at the same relative depths of their thinking part, each moved to the nearest logical
boundary, and each response's claims are the same at all depths, half of them right where the pool has both.

Source: arXiv 2509.25848, Section 4 and Appendix B.2; the views without the image are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np

from vapo.diagnosis.direct_probes import BEFORE_RESPONSE
from vapo.diagnosis.findings import ProbedClaim
from vapo.diagnosis.responses import Response
from vapo.diagnosis.settings import DiagnosisSettings
from vapo.models.diagnosed_model import DiagnosedModel
from vapo.types import Anchor, Claim, Probe, Sample

_CLAIM_DRAWS, _DEPTH_DRAWS = 4, 5  # keep these generators apart from others with the same seed


def probe_by_depth(
    diagnosed_model: DiagnosedModel, responses: Sequence[Response], settings: DiagnosisSettings
) -> list[tuple[ProbedClaim, ...] | None]:
    """Ask claims before and along responses, under every view.

    Args:
        diagnosed_model: a model that answers probes.
        responses: any number.
        settings: depths, claims per depth, views, seed.

    Returns:
        Per response the probed claims, by view, depth and claim; None where the sample has no claims. A response
        without a boundary is asked before it begins alone.
    """
    planned: list[tuple[int, float, Probe]] = []
    for number, response in enumerate(responses):
        if not response.rollout.sample.claims:
            continue
        claims = draw_balanced_claims(response.rollout.sample, settings.claims_per_depth, settings.seed)
        planned += [(number, 0.0, Probe(response.rollout, BEFORE_RESPONSE, claim)) for claim in claims]
        for depth in choose_depths(settings):
            index = response.cut_near(depth)
            if index is not None:
                anchor = Anchor(index, index / len(response.rollout.completion_ids))
                planned += [(number, depth, Probe(response.rollout, anchor, claim)) for claim in claims]
    found: list[list[ProbedClaim]] = [[] for _ in responses]
    # Depths that move to the same boundary ask the same probe, which is answered once.
    asked = {_key(probe): probe for _, _, probe in planned}
    for view in settings.views if asked else ():
        verdicts = dict(zip(asked, diagnosed_model.score_probes(list(asked.values()), view), strict=True))
        for number, depth, probe in planned:
            p_true = float(verdicts[_key(probe)].p_true)
            claim = probe.claim
            found[number].append(ProbedClaim(depth, probe.anchor.index, view, claim.text, claim.is_true, p_true))
    return [
        tuple(own) if response.rollout.sample.claims else None for response, own in zip(responses, found, strict=True)
    ]


def choose_depths(settings: DiagnosisSettings) -> tuple[float, ...]:
    """Return the depths in (0, 1] at which all responses are asked."""
    count = settings.num_depths
    if settings.depths == "even":
        return tuple(round(number / count, 6) for number in range(1, count + 1))
    drawn = np.random.default_rng([_DEPTH_DRAWS, settings.seed]).random(count)
    return tuple(sorted(round(1 - float(depth), 6) for depth in drawn))


def draw_balanced_claims(sample: Sample, count: int, seed: int) -> list[Claim]:
    """Draw claims without repeats, right and wrong in turn as long as there are both: guessing then scores 1/2."""
    rng = np.random.default_rng([_CLAIM_DRAWS, seed, crc32(sample.id.encode())])
    shuffled = [sample.claims[int(number)] for number in rng.permutation(len(sample.claims))]
    pools = {truth: [claim for claim in shuffled if claim.is_true is truth] for truth in (True, False)}
    drawn: list[Claim] = []
    turn = bool(rng.integers(2))  # which kind has one more where the count is odd
    while len(drawn) < count and (pools[True] or pools[False]):
        pool = pools[turn] or pools[not turn]
        drawn.append(pool.pop())
        turn = not turn
    return drawn


def _key(probe: Probe) -> tuple[int, int, Claim]:
    return id(probe.rollout), probe.anchor.index, probe.claim
