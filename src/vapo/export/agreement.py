"""Whether a copy of a policy answers as the policy does: its tokens, and how likely it holds them.

Two engines round differently, so that of two tokens that are all but equally likely each may take another. From there
on the responses differ and cannot be compared. Tokens are therefore compared up to the first difference, which must be
such a tie; and where both can be asked, the log-probabilities of the policy's own response are compared to its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from math import inf
from typing import Any

from vapo.models.policy.answers import Answer
from vapo.types import Rollout

MEAN_TOLERANCE = {"float32": 1e-3, "bfloat16": 0.05, "float16": 0.05}
"""Nats by which log-probabilities may differ on average, by the precision of the copy."""

TIE = {"float32": 1e-2, "bfloat16": 0.3, "float16": 0.3}
"""Nats by which a token may be less likely than the likeliest and still be taken: some steps of 16-bit logits."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far a copy answers as the policy does.

    Attributes:
        copy: who answered, in words.
        num_questions: answered by both.
        num_tokens: of the policy's responses.
        same_tokens: of these, tokens before the first difference.
        worst_tie: how much less likely than the likeliest the policy holds a token that the copy took, in nats.
        mean_difference: of log-probabilities along the policy's responses, in nats; None where the copy tells none.
        other_prompts: questions that the copy read as other tokens.
        dtype: precision of the copy.
    """

    copy: str
    num_questions: int
    num_tokens: int
    same_tokens: int
    worst_tie: float
    mean_difference: float | None
    other_prompts: int
    dtype: str

    @property
    def holds(self) -> bool:
        """Whether the two answer alike."""
        close = self.mean_difference is None or self.mean_difference <= MEAN_TOLERANCE[self.dtype]
        return close and self.worst_tie <= TIE[self.dtype] and not self.other_prompts

    def __str__(self) -> str:
        said = f"{self.same_tokens} of {self.num_tokens} greedy tokens of {self.num_questions} questions are the same"
        if self.same_tokens < self.num_tokens:
            said += f", up to where tokens {self.worst_tie:.2g} nats less likely than the likeliest were taken"
        if self.mean_difference is not None:
            said += f"; log-probabilities differ by {self.mean_difference:.2g} nats on average"
        return f"{said}; {self.other_prompts} questions were read otherwise" if self.other_prompts else said


def compare_answers(
    answers: Sequence[Answer],
    responses: Sequence[Rollout],
    logprobs: Sequence[Sequence[float]] | None,
    *,
    copy: str,
    dtype: str,
) -> Agreement:
    """Compare a policy's answers with those of a copy.

    Args:
        answers: of the policy, at least one.
        responses: of the copy to the same questions, greedy, and as long at most.
        logprobs: by the copy, of the tokens of the policy's responses; None where it tells none.
        copy: who answered, in words.
        dtype: precision of the copy.
    """
    same = 0
    worst = 0.0
    for answer, response in zip(answers, responses, strict=True):
        ours, theirs = answer.rollout.completion_ids, response.completion_ids
        place = next((n for n, pair in enumerate(zip_longest(ours, theirs)) if pair[0] != pair[1]), len(ours))
        same += min(place, len(ours))
        if ours != theirs:
            worst = max(worst, _measure_tie(answer, response, place))
    differences = None
    if logprobs is not None:
        differences = [
            abs(ours - theirs)
            for answer, copied in zip(answers, logprobs, strict=True)
            for ours, theirs in zip(answer.logprobs, copied, strict=True)
        ]
    return Agreement(
        copy=copy,
        num_questions=len(answers),
        num_tokens=sum(len(answer.rollout.completion_ids) for answer in answers),
        same_tokens=same,
        worst_tie=worst,
        mean_difference=None if differences is None else sum(differences) / max(1, len(differences)),
        other_prompts=sum(a.rollout.prompt_ids != c.prompt_ids for a, c in zip(answers, responses, strict=True)),
        dtype=dtype,
    )


def _measure_tie(answer: Answer, response: Rollout, place: int) -> float:
    if place >= min(len(answer.rivals), len(response.completion_ids)):
        return inf  # one of the two ended where the other went on
    rivals = answer.rivals[place]
    return max(rivals.values()) - rivals.get(response.completion_ids[place], min(rivals.values()))


def to_plain(agreement: Agreement) -> dict[str, Any]:
    """Return an agreement as plain values."""
    return asdict(agreement)


def read_agreement(values: Mapping[str, Any]) -> Agreement:
    """Return the agreement that `to_plain` wrote."""
    return Agreement(**values)
