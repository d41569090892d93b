"""What was found out about one question: the unit that is stored, resumed from, and summarised."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vapo.core.grading import extract_answer, grade_format, grade_sample
from vapo.types import Rollout, Sample, Verdict


@dataclass(frozen=True, slots=True)
class AskedClaim:
    """A claim that was asked, and the verdict; `depth` 0 is before the response."""

    index: int
    depth: float
    claim: str
    is_true: bool
    p_true: float
    p_label: float
    correct: bool


@dataclass(frozen=True, slots=True)
class QuestionRow:
    r"""One question's greedy completion, graded and probed, and the grades of its sampled completions.

    Attributes:
        digest: of the sample's text, claims and pixels; see `digest_sample`.
        reference: the right answer.
        answer: what the last `\boxed{}` holds; None if there is none.
        has_format: `<think>...</think> ... \boxed{...}` is kept.
        finished: the completion came to its own end within the longest length.
        num_tokens: of the completion, its end token included.
        sampled_right: one per sampled completion.
        has_claims: the sample brought claims.
        before: claims asked before the response.
        along: claims asked at anchors, in the order of the response.
        image: what the question is about; questions about the same one are not independent. See `name_image`.
    """

    digest: str
    id: str
    question: str
    reference: str
    completion: str
    answer: str | None
    right: bool
    has_format: bool
    finished: bool
    num_tokens: int
    sampled_right: tuple[bool, ...]
    has_claims: bool
    before: tuple[AskedClaim, ...]
    along: tuple[AskedClaim, ...]
    image: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the row as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> QuestionRow:
        """Return the row that `to_json` wrote; KeyError or TypeError if it did not."""
        lists = {name: tuple(AskedClaim(**claim) for claim in values[name]) for name in ("before", "along")}
        image = values.get("image") or values["digest"]
        return cls(**{**values, **lists, "image": image, "sampled_right": tuple(values["sampled_right"])})


def describe_question(
    greedy: Rollout,
    sampled: Sequence[Rollout],
    before: Sequence[Verdict],
    along: Sequence[Verdict],
    *,
    digest: str,
    finished: bool,
    think_opened: bool,
) -> QuestionRow:
    """Grade one question's completions.

    Args:
        greedy: the completion that is reported in full.
        sampled: the completions that avg@n is taken over.
        before: verdicts on claims asked before the response.
        along: verdicts on claims asked at anchors of `greedy`.
        digest: of the sample.
        finished: `greedy` ends in an end token.
        think_opened: the prompt itself ends in `<think>`.
    """
    sample = greedy.sample
    return QuestionRow(
        digest=digest,
        id=sample.id,
        question=sample.question,
        reference=sample.answer,
        completion=greedy.text,
        answer=extract_answer(greedy.answer_text),
        right=grade_sample(greedy.answer_text, sample) == 1,
        has_format=grade_format(greedy.text, think_opened=think_opened, tags=greedy.think_tags) == 1,
        finished=finished,
        num_tokens=len(greedy.completion_ids),
        sampled_right=tuple(grade_sample(rollout.answer_text, sample) == 1 for rollout in sampled),
        has_claims=bool(sample.claims),
        before=tuple(map(_describe_verdict, before)),
        along=tuple(map(_describe_verdict, sorted(along, key=lambda verdict: verdict.probe.anchor.index))),
        image=name_image(sample),
    )


def digest_sample(sample: Sample) -> str:
    """Return a digest of all that a result can depend on: id, texts, claims and pixels."""
    digest = hashlib.sha256()
    for part in (sample.id, sample.question, sample.answer, *((c.text, c.is_true) for c in sample.claims)):
        digest.update(repr(part).encode())
    for image in sample.images:
        digest.update(f"{image.mode} {image.size}".encode() + image.tobytes())
    return digest.hexdigest()[:32]


def name_image(sample: Sample) -> str:
    """Return a digest of a sample's pixels; of a sample without images, one of its own."""
    if not sample.images:
        return digest_sample(sample)
    digest = hashlib.sha256()
    for image in sample.images:
        digest.update(f"{image.mode} {image.size}".encode() + image.tobytes())
    return digest.hexdigest()[:32]


def _describe_verdict(verdict: Verdict) -> AskedClaim:
    anchor, claim = verdict.probe.anchor, verdict.probe.claim
    return AskedClaim(
        index=anchor.index,
        depth=anchor.depth,
        claim=claim.text,
        is_true=claim.is_true,
        p_true=verdict.p_true,
        p_label=verdict.p_label,
        correct=verdict.correct,
    )
