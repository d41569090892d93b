"""What a trained policy does on held-out images: one sampled response per question, and claims along it.

The response is sampled at temperature 1, as in training: it is the policy, and not its likeliest response, that is
compared. Each claim is asked twice at its anchor, with the image and with a grey one in its place, so that what the
response itself tells can be told from what is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from vapo.algorithms.vapo import VAPO
from vapo.core.grading import grade_format, grade_sample
from vapo.diagnosis.transformers.transformers_model import TransformersModel
from vapo.lab.judge import find_readings
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.generation import sample_completions
from vapo.types import Rollout, Sample

_PROBE_DRAWS = 31  # keeps these generators apart from others with the same seed


@dataclass(frozen=True, slots=True)
class ProbeRow:
    """One claim at one anchor; `depth` in (0, 1], `p_true` with the image, `p_true_blind` without."""

    depth: float
    claim: str
    is_true: bool
    p_true: float
    p_true_blind: float

    @property
    def is_right(self) -> bool:
        """Whether the claim was judged rightly with the image."""
        return (self.p_true > 0.5) == self.is_true

    @property
    def is_right_blind(self) -> bool:
        """Whether it was without."""
        return (self.p_true_blind > 0.5) == self.is_true


@dataclass(frozen=True, slots=True)
class ResponseRow:
    """One question's response.

    Attributes:
        id: of the question.
        kind: of the question, one of `vapo.lab.questions.KINDS`.
        completion: its text.
        right: the answer.
        has_format: the response format.
        num_tokens: length of the completion.
        num_readings: how many cells the response names with a digit.
        probes: in the order of the response.
    """

    id: str
    kind: str
    completion: str
    right: bool
    has_format: bool
    num_tokens: int
    num_readings: int
    probes: tuple[ProbeRow, ...]


def measure_policy(
    policy: Policy,
    samples: Sequence[Sample],
    kinds: Mapping[str, str],
    *,
    max_completion_tokens: int,
    num_anchors: int,
    seed: int,
    batch_size: int = 50,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[ResponseRow]:
    """Yield one row per sample, in order.

    Args:
        policy: what was trained.
        samples: questions with claims.
        kinds: of questions, by the sample's id.
        max_completion_tokens: longest completion.
        num_anchors: probes per response, fewer where it has fewer boundaries.
        seed: of completions, anchors and claims; the same for all that are compared.
        batch_size: questions answered together.
        on_progress: called with (questions done, questions in all).
    """
    diagnosed_model = TransformersModel(policy)
    for start in range(0, len(samples), batch_size):
        chunk = samples[start : start + batch_size]
        rollouts = [
            own[0]
            for own in sample_completions(
                policy, chunk, max_completion_tokens=max_completion_tokens, seed=seed, batch_size=batch_size
            )
        ]
        yield from _probe(diagnosed_model, rollouts, kinds, num_anchors, seed)
        on_progress(start + len(chunk), len(samples))


def _probe(
    diagnosed_model: TransformersModel,
    rollouts: Sequence[Rollout],
    kinds: Mapping[str, str],
    num_anchors: int,
    seed: int,
) -> Iterator[ResponseRow]:
    draw = VAPO(num_anchors=num_anchors).probes
    probes = [
        list(draw(rollout, np.random.default_rng([_PROBE_DRAWS, seed, crc32(rollout.sample.id.encode())])))
        for rollout in rollouts
    ]
    asked = [probe for own in probes for probe in own]
    seen, blind = (iter(diagnosed_model.score_probes(asked, view)) for view in ("image", "blank"))
    for rollout, own in zip(rollouts, probes, strict=True):
        yield ResponseRow(
            id=rollout.sample.id,
            kind=kinds[rollout.sample.id],
            completion=rollout.text,
            right=grade_sample(rollout.text, rollout.sample) == 1,
            has_format=grade_format(rollout.text) == 1,
            num_tokens=len(rollout.completion_ids),
            num_readings=len(find_readings(rollout.text)),
            probes=tuple(
                ProbeRow(p.anchor.depth, p.claim.text, p.claim.is_true, next(seen).p_true, next(blind).p_true)
                for p in own
            ),
        )
