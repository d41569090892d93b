r"""How far each token of a response would move if the image were masked.

For token t of a completion o, with prompt q, image I and masked image I'::

    D_t = KL(p(. | I, q, o_<t) || p(. | I', q, o_<t)),    in nats, at least 0

PAPO (arXiv 2507.06448) trains on it and VPPO (arXiv 2510.09285) picks tokens by it. Two teacher-forced passes give
the last hidden states; the vocabulary is reached a few tokens at a time, so no (tokens x vocabulary) tensor of a whole
response is ever made.
"""

from __future__ import annotations

from typing import Any

import torch

from vapo.models.image_features import find_feature_module
from vapo.models.output_layer import compare_distributions
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.inference import inference
from vapo.models.policy.rollout_row import lay_row, reading_row
from vapo.types import Rollout


def measure_divergence(
    policy: Policy, rollout: Rollout, other: Rollout, logits_at_once: int | None = None
) -> torch.Tensor:
    """Return the divergence of each completion token's distribution under `other` from that under `rollout`.

    Args:
        policy: the model and its processor.
        rollout: the response as it was written.
        other: the same completion behind another prompt, or with other images.
        logits_at_once: see `compare_distributions`.

    Returns:
        float32 on the CPU, shape (completion tokens,).

    Raises:
        ValueError: the completions differ, or there is no prompt to predict the first token.
    """
    if rollout.completion_ids != other.completion_ids:
        raise ValueError("the two rollouts must have the same completion")
    if not rollout.prompt_ids or not other.prompt_ids:
        raise ValueError(f"sample {rollout.sample.id!r}: a rollout without a prompt has no first token's distribution")
    if not rollout.completion_ids:
        return torch.zeros(0)
    with inference(policy.model):
        shown, masked = _read(policy, rollout), _read(policy, other)
        return compare_distributions(policy.model, shown, masked, logits_at_once=logits_at_once).cpu()


def _read(policy: Policy, rollout: Rollout) -> torch.Tensor:
    """Return the last hidden states that predict the completion, shape (T, hidden size)."""
    row = lay_row(policy, rollout)
    outputs: list[Any] = []
    handle = find_feature_module(policy.model).register_forward_hook(lambda _m, _i, output: outputs.append(output))
    try:
        with reading_row(policy, row):
            policy.model(**row.inputs, use_cache=False, logits_to_keep=1)
    finally:
        handle.remove()
    first = len(rollout.prompt_ids) - 1
    return outputs[0].last_hidden_state[0, first : first + len(rollout.completion_ids)].clone()
