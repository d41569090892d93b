r"""How far each token of a response would move if the image were masked.

For token t of a completion o, with prompt q, image I and masked image I'::

    D_t = KL(p(. | I, q, o_<t) || p(. | I', q, o_<t)),    in nats, at least 0

PAPO (arXiv 2507.06448) trains on it and VPPO (arXiv 2510.09285) picks tokens by it. Two teacher-forced passes give
the last hidden states; the vocabulary is reached a few tokens at a time, so no (tokens x vocabulary) tensor of a whole
response is ever made.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any

import torch

from vapo.models.first_device import find_first_device
from vapo.models.image_features import find_feature_module
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.inference import inference
from vapo.models.policy.rollout_row import lay_row, reading_row
from vapo.models.replaced_method import replaced_method
from vapo.types import Rollout

LOGITS_AT_ONCE = 2**24
"""Of each of the two distributions; 64 MB in float32."""


def measure_divergence(
    policy: Policy, rollout: Rollout, other: Rollout, logits_at_once: int = LOGITS_AT_ONCE
) -> torch.Tensor:
    """Return the divergence of each completion token's distribution under `other` from that under `rollout`.

    Args:
        policy: the model and its processor.
        rollout: the response as it was written.
        other: the same completion behind another prompt, or with other images.
        logits_at_once: what is made of the vocabulary at a time, at least a token's.

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
    tokens = max(1, logits_at_once // policy.model.config.get_text_config().vocab_size)
    divergences: list[torch.Tensor] = []
    with inference(policy.model):
        shown, masked = _read(policy, rollout), _read(policy, other)
        for start in range(0, len(rollout.completion_ids), tokens):
            log_p, log_q = (states.log_probs(policy, start, start + tokens) for states in (shown, masked))
            divergences.append((log_p.exp() * (log_p - log_q)).sum(-1).cpu())
    return torch.cat(divergences)


@dataclass(frozen=True, slots=True)
class _States:
    """What the text layers returned, and the last hidden states that predict the completion, shape (1, T, hidden)."""

    output: Any
    hidden: torch.Tensor

    def log_probs(self, policy: Policy, start: int, stop: int) -> torch.Tensor:
        """Return the log-probabilities of tokens `start` to `stop`, by the model's own output layer, in float32."""
        module = find_feature_module(policy.model)
        output = copy(self.output)
        output.last_hidden_state = self.hidden[:, start:stop]
        ids = torch.zeros((1, output.last_hidden_state.shape[1]), dtype=torch.long, device=find_first_device(module))
        # What a family does to logits behind its output layer (scales, caps) is done by its own forward pass alone.
        with replaced_method(module, "forward", lambda *_args, **_kwargs: output):
            logits = policy.model(input_ids=ids, use_cache=False).logits[0]
        return logits.float().log_softmax(-1)


def _read(policy: Policy, rollout: Rollout) -> _States:
    row = lay_row(policy, rollout)
    outputs: list[Any] = []
    handle = find_feature_module(policy.model).register_forward_hook(lambda _m, _i, output: outputs.append(output))
    try:
        with reading_row(policy, row):
            policy.model(**row.inputs, use_cache=False, logits_to_keep=1)
    finally:
        handle.remove()
    first = len(rollout.prompt_ids) - 1
    return _States(outputs[0], outputs[0].last_hidden_state[:, first : first + len(rollout.completion_ids)].clone())
