"""How a server is told which tokens it may answer with, by the engine behind it.

verl hands back the sampled token and its log-probability, and nothing of the others. So the server must choose
greedily among the answers alone, and give the probability that the answer has among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from vapo.errors import ConfigError

NEVER, ONLY = -100.0, 100.0
"""What is added to the logit of a token that must not be sampled, and to those of tokens that alone may be."""


class SamplingFormat(Protocol):
    """Writes sampling parameters for one engine."""

    def forbid(self, sampling_params: dict[str, Any], token_ids: Sequence[int]) -> dict[str, Any]:
        """Return a copy of the parameters under which none of `token_ids` is sampled."""
        ...

    def ask_for_one_of(self, token_ids: Sequence[int]) -> dict[str, Any]:
        """Return parameters under which the likeliest of `token_ids` is sampled, with its share among them."""
        ...


class VLLMSampling:
    """vLLM: `allowed_token_ids` masks all other logits before log-probabilities are computed."""

    def forbid(self, sampling_params: dict[str, Any], token_ids: Sequence[int]) -> dict[str, Any]:
        bias = {**(sampling_params.get("logit_bias") or {}), **dict.fromkeys(token_ids, NEVER)}
        return {**sampling_params, "logit_bias": bias}

    def ask_for_one_of(self, token_ids: Sequence[int]) -> dict[str, Any]:
        return {"max_tokens": 1, "temperature": 0.0, "allowed_token_ids": list(token_ids), "logprobs": True}


class SGLangSampling:
    """SGLang: it has no `allowed_token_ids`, so the answers are lifted above all other tokens.

    Its sampler adds `logit_bias` before it normalises (`apply_logits_bias`, 0.5.12), so what all answers share
    cancels out among them, and the rest keeps e^-100 of its weight.
    """

    def forbid(self, sampling_params: dict[str, Any], token_ids: Sequence[int]) -> dict[str, Any]:
        bias = {**(sampling_params.get("logit_bias") or {}), **{str(token): NEVER for token in token_ids}}
        return {**sampling_params, "logit_bias": bias}

    def ask_for_one_of(self, token_ids: Sequence[int]) -> dict[str, Any]:
        lifted = {str(token): ONLY for token in token_ids}
        return {"max_new_tokens": 1, "temperature": 0.0, "logit_bias": lifted, "logprobs": True}


@dataclass(frozen=True, slots=True)
class _Known:
    sampling_format: SamplingFormat
    needs_processed: bool  # whether its log-probabilities may be those of the logits before the restriction


_SAMPLING_FORMATS = {"vllm": _Known(VLLMSampling(), True), "sglang": _Known(SGLangSampling(), False)}


def find_sampling_format(engine: str, logprobs_mode: str | None) -> SamplingFormat:
    """Return how an engine is spoken to.

    Args:
        engine: `actor_rollout_ref.rollout.name` of verl's configuration.
        logprobs_mode: `actor_rollout_ref.rollout.logprobs_mode`, which vLLM heeds.

    Raises:
        ConfigError: the engine cannot be asked, or would answer with log-probabilities over all tokens.
    """
    if engine not in _SAMPLING_FORMATS:
        raise ConfigError(
            f"rollout.name={engine!r} cannot be asked for one of several tokens, which probes need; use "
            f"{' or '.join(_SAMPLING_FORMATS)}"
        )
    known = _SAMPLING_FORMATS[engine]
    if known.needs_processed and logprobs_mode != "processed_logprobs":
        raise ConfigError(
            f"rollout.logprobs_mode is {logprobs_mode!r}, so the server would not say how likely an answer is among "
            "the allowed ones; leave it at 'processed_logprobs'"
        )
    return known.sampling_format
