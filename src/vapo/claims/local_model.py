"""A policy in this process as the one that claims are asked of: a checkpoint, or the model that is being trained."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vapo.api.prices import Prices
from vapo.api.rate_limiter import RateLimiter
from vapo.api.responses import Response
from vapo.api.server_errors import ServerError
from vapo.claims.claim_writing import find_room, write_sample
from vapo.claims.store.images import StoredImage
from vapo.errors import ModelError
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.generation import find_eos_token_ids, is_finished, sample_completions
from vapo.models.policy.prompt_writer import PromptWriter
from vapo.types import Rollout, Sample


class PolicyClaimModel:
    """Let a policy write claims about images; see `vapo.claims.making.requester.VisionModel`.

    Requests that wait at the same time are answered in one batch. An answer has no more room than the model's context
    leaves behind the prompt.

    Args:
        policy: the model and its processor; the model's mode is restored after each batch.
        batch_size: requests answered together, at most.
    """

    prices: Prices | None = None
    server: str = "this process"

    def __init__(self, policy: Policy, *, batch_size: int = 8) -> None:
        self.limiter = RateLimiter(batch_size)
        self.model = policy.name
        self._policy = policy
        self._writer = PromptWriter(policy)
        self._eos_ids = find_eos_token_ids(policy)
        self._waiting: list[_Request] = []

    async def __aenter__(self) -> PolicyClaimModel:
        self._turn = asyncio.Lock()
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def connect(self) -> None:
        """A policy at hand needs no connection."""

    async def ask(self, instruction: str, images: Sequence[StoredImage], options: Mapping[str, Any]) -> Response:
        """Return what the policy writes, in the form of a chat completion.

        Args:
            instruction: the text before the images.
            images: the images.
            options: `temperature`, `seed` and `max_completion_tokens`; others mean nothing to a policy.

        Raises:
            ServerError: the prompt leaves no room in the model's context.
        """
        async with self.limiter.slot() as began:
            request = self._write(instruction, images, options)
            self._waiting.append(request)
            async with self._turn:
                if request.rollout is None:
                    await asyncio.sleep(0)  # whoever is about to ask comes along
                    together, self._waiting = self._waiting, []
                    self._answer(together)
        assert request.rollout is not None
        return self._pack(request.rollout, time.monotonic() - began)

    def _write(self, instruction: str, images: Sequence[StoredImage], options: Mapping[str, Any]) -> _Request:
        sample = write_sample(instruction, images, options["seed"])
        try:
            room = find_room(self._policy, self._writer, sample, int(options["max_completion_tokens"]))
        except ModelError as error:
            raise ServerError(str(error)) from error
        return _Request(sample, room, float(options["temperature"]))

    def _answer(self, requests: Sequence[_Request]) -> None:
        (temperature,) = {request.temperature for request in requests}  # a run has but one
        rollouts = sample_completions(
            self._policy,
            [request.sample for request in requests],
            max_completion_tokens=min(request.room for request in requests),
            temperature=temperature,
            batch_size=len(requests),
        )
        for request, (rollout,) in zip(requests, rollouts, strict=True):
            request.rollout = rollout

    def _pack(self, rollout: Rollout, seconds: float) -> Response:
        finish_reason = "stop" if is_finished(rollout, self._eos_ids) else "length"
        message = {"role": "assistant", "content": "".join(rollout.token_texts)}
        usage = {"prompt_tokens": len(rollout.prompt_ids), "completion_tokens": len(rollout.completion_ids)}
        body = {"choices": [{"index": 0, "finish_reason": finish_reason, "message": message}], "usage": usage}
        return Response(json.dumps(body).encode(), seconds, finish_reason, *usage.values(), usd=0.0)


@dataclass(slots=True)
class _Request:
    sample: Sample
    room: int
    temperature: float
    rollout: Rollout | None = None
