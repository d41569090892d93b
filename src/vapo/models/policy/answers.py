"""What a policy answers, greedily, and how likely it held each token: by this, two copies of it are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.generation import sample_completions
from vapo.models.policy.inference import inference
from vapo.models.policy.rollout_row import lay_row, reading_row
from vapo.types import Rollout, Sample

NUM_RIVALS = 20
"""Tokens whose log-probability is kept at each place: a token that another engine takes for a tie is among them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A greedy response, and what the policy thought of its tokens.

    Attributes:
        rollout: prompt and response.
        logprobs: of each token of the response, in nats.
        rivals: the likeliest tokens at each place, with their log-probabilities.
    """

    rollout: Rollout
    logprobs: tuple[float, ...]
    rivals: tuple[dict[int, float], ...]


def answer_greedily(
    policy: Policy, samples: Sequence[Sample], max_completion_tokens: int, system_prompt: str | None = None
) -> list[Answer]:
    """Answer questions one by one, and score each response. Raises as `sample_completions` does."""
    responses = sample_completions(
        policy,
        samples,
        max_completion_tokens=max_completion_tokens,
        temperature=0,
        batch_size=1,
        system_prompt=system_prompt,
    )
    return [_score(policy, rollout) for (rollout,) in responses]


def score_response(policy: Policy, rollout: Rollout) -> tuple[float, ...]:
    """Return the log-probability of each token of a response, in nats, whoever wrote it."""
    return _score(policy, rollout).logprobs


def _score(policy: Policy, rollout: Rollout) -> Answer:
    row = lay_row(policy, rollout)
    start, length = len(rollout.prompt_ids), len(rollout.completion_ids)
    with inference(policy.model), reading_row(policy, row):
        logits_TV = policy.model(**row.inputs).logits[0, start - 1 : start - 1 + length].float()
    logprobs_TV = logits_TV.log_softmax(-1).cpu()
    chosen = logprobs_TV.gather(-1, torch.tensor(rollout.completion_ids)[:, None])[:, 0]
    best = logprobs_TV.topk(min(NUM_RIVALS, logprobs_TV.shape[-1]))
    places = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    rivals = tuple(dict(zip(tokens, likely, strict=True)) for tokens, likely in places)
    return Answer(rollout, tuple(chosen.tolist()), rivals)
