"""One rollout's conversation with the servers: the rollout, then its probes, under one request id.

verl routes by request id, so all of it reaches one server, whose prefix cache still holds the rollout.
"""

# verl and Ray are in an environment of their own.
# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ray

from vapo.verl.answers import Reply
from vapo.verl.sampling_formats import SamplingFormat


class RolloutSession:
    """Stands where verl's server client stood, for one rollout.

    Args:
        client: verl's server client, shared by all rollouts of a worker.
        sampling_format: how its servers are spoken to.
        never: tokens that must not be sampled, because they stand for images.
    """

    def __init__(self, client: Any, sampling_format: SamplingFormat, never: Sequence[int]) -> None:
        self._client = client
        self._dialect = sampling_format
        self._never = never
        self._request_id: str | None = None
        self._surroundings: dict[str, Any] = {}
        self.sampled_images: Sequence[Any] | None = None
        """What the rollout is sampled from in place of the prompt's images, which probes see all the same."""
        self.weights: int | None = None
        """The weights that the rollout ended with, as the trainer counts them; None where the server does not say."""

    async def generate(
        self, request_id: str, *, prompt_ids: list[int], sampling_params: dict[str, Any], **surroundings: Any
    ) -> Any:
        """Roll out as verl's client does, and remember how, for the probes.

        The sampling parameters are copied, because all rollouts share them; the images are put in Ray's object
        store, because each probe shows them again.
        """
        images = surroundings.get("image_data")
        if images:
            surroundings = {**surroundings, "image_data": ray.put(images)}
        self._request_id, self._surroundings = request_id, surroundings
        if self.sampled_images is not None:
            surroundings = {**surroundings, "image_data": self.sampled_images}
        output = await self._client.generate(
            request_id=request_id,
            prompt_ids=prompt_ids,
            sampling_params=self._dialect.forbid(sampling_params, self._never),
            **surroundings,
        )
        weights = output.extra_fields.get("max_global_steps", output.extra_fields.get("global_steps"))
        self.weights = None if weights is None else int(weights)
        return output

    async def ask(self, prompt_ids: Sequence[int], token_ids: Sequence[int]) -> Reply:
        """Ask which of `token_ids` is likeliest to follow `prompt_ids`.

        Raises:
            RuntimeError: the server broke off.
        """
        output = await self._client.generate(
            request_id=self._request_id,
            prompt_ids=list(prompt_ids),
            sampling_params=self._dialect.ask_for_one_of(token_ids),
            **self._surroundings,
        )
        if len(output.token_ids) < 1 or not output.log_probs:
            raise RuntimeError(f"the server returned no answer (stop reason: {output.stop_reason})")
        weights = output.extra_fields.get("global_steps")
        return Reply(int(output.token_ids[0]), float(output.log_probs[0]), None if weights is None else int(weights))
