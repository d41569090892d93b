"""Exact gradients of single responses, kept as their inner products.

Where training begins, the policy is the one that sampled: ratios are 1, nothing is clipped and the KL penalty has no
gradient. The gradient of GRPO's loss is then minus the sum over responses of advantage times g_i, where

    g_i = gradient of the mean log-probability of the response's tokens

With the inner products of all g_i, the gradient of any setting that changes advantages alone is known up to rotation:
its length, its parts and the angles between them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from vapo.models.image_features import freeze_vision
from vapo.models.images import process_images
from vapo.models.policy.checkpoint import Policy
from vapo.types import Rollout


def multiply_gradients(
    policy: Policy, rollouts: Sequence[Rollout], on_progress: Callable[[int, int], None] = lambda done, total: None
) -> NDArray[np.float64]:
    """Return the inner products of the responses' gradients, shape (N, N).

    The vision tower and the projector are left out, as the lab's runs leave them.

    Args:
        policy: whose weights the gradients are of.
        rollouts: N responses.
        on_progress: called with (responses done, responses in all).
    """
    freeze_vision(policy.model)
    trained = [parameter for parameter in policy.model.parameters() if parameter.requires_grad]
    gradients: torch.Tensor | None = None
    for number, rollout in enumerate(rollouts):
        own = torch.autograd.grad(mean_log_probability(policy, rollout), trained)
        flat = torch.cat([part.flatten() for part in own])
        if gradients is None:
            gradients = flat.new_zeros((len(rollouts), len(flat)))
        gradients[number] = flat
        on_progress(number + 1, len(rollouts))
    assert gradients is not None
    products = torch.zeros((len(rollouts), len(rollouts)), dtype=torch.float64)
    for start in range(0, gradients.shape[1], _COLUMNS):  # in double precision, a slice at a time
        part = gradients[:, start : start + _COLUMNS].double()
        products += part @ part.T
    return products.numpy()


_COLUMNS = 65536


def mean_log_probability(policy: Policy, rollout: Rollout) -> torch.Tensor:
    """Return the mean log-probability of a response's tokens, with gradient."""
    device = policy.model.device
    ids = torch.tensor([[*rollout.prompt_ids, *rollout.completion_ids]], device=device)
    images = process_images(policy.processor, rollout.sample.images).to(device).tensors
    logits = policy.model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False, **images).logits
    first = len(rollout.prompt_ids)
    log_probs = torch.log_softmax(logits[0, first - 1 : -1].float(), dim=-1)
    return log_probs.gather(1, ids[0, first:, None]).mean()
