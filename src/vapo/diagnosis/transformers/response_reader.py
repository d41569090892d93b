"""Read a prompt and a response once, and keep what attention needs of them.

The keys and values of all tokens are kept for every layer. Layers that see a window would otherwise forget, at the
response's end, what an early cut needs.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from vapo.models.image_features import find_feature_module
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.rollout_row import lay_row, reading_row
from vapo.models.positions import tree_positions, trunk_positions
from vapo.models.tree.packing_obstacles import EXACT_LAYERS
from vapo.types import Rollout


@dataclass(frozen=True, slots=True)
class ReadResponse:
    """A prompt with its completion, read.

    Attributes:
        layers: keys and values of each layer; shapes (1, key heads, N, head dimension), N = prompt and completion.
        prompt_positions: positions of the prompt's P tokens, shape (axes, P).
    """

    layers: tuple[tuple[torch.Tensor, torch.Tensor], ...]
    prompt_positions: torch.Tensor

    def positions(self, start: int, stop: int) -> torch.Tensor:
        """Return the positions of tokens `start` to `stop`, and beyond the response too; shape (axes, tokens)."""
        depth = torch.arange(max(stop, self.prompt_positions.shape[1]), device=self.prompt_positions.device)
        return tree_positions(self.prompt_positions, depth)[:, start:stop]


class ResponseReader:
    """Reads responses, and keeps those that were asked for last."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._module = find_feature_module(policy.model)
        config = self._module.config
        foreign = set(getattr(config.get_text_config(), "layer_types", None) or ()) - EXACT_LAYERS
        self._can_cut = not foreign and not getattr(config, "is_encoder_decoder", False)
        self._read: dict[int, ReadResponse] = {}

    def read(self, rollouts: Sequence[Rollout]) -> list[ReadResponse] | None:
        """Return what was read of each rollout, or None if this model's memory cannot be cut anywhere.

        Recurrent layers, for one, keep a state that cannot be taken back.
        """
        wanted = {id(rollout) for rollout in rollouts}
        self._read = {key: response for key, response in self._read.items() if key in wanted}
        for rollout in rollouts:
            if self._can_cut and id(rollout) not in self._read:
                response = self._read_one(rollout)
                if response is None:
                    self._can_cut = False
                else:
                    self._read[id(rollout)] = response
        return [self._read[id(rollout)] for rollout in rollouts] if self._can_cut else None

    def _read_one(self, rollout: Rollout) -> ReadResponse | None:
        row = lay_row(self._policy, rollout)
        length, prompt = row.is_image.shape[1], len(rollout.prompt_ids)
        images = row.images if row.images.tensors else None
        positions = trunk_positions(
            self._module, row.inputs["input_ids"][0, :prompt], row.is_image[0, :prompt], images
        )
        cache = DynamicCache()  # without a configuration, so that layers with a window keep all tokens too
        with reading_row(self._policy, row):
            self._policy.model(
                **row.inputs,
                position_ids=as_position_ids(ReadResponse((), positions).positions(0, length)[:, None]),
                **continuing(self._module, cache),
                logits_to_keep=1,
            )
        layers: list[Any] = list(cache.layers)
        if not layers or any(type(layer) is not DynamicLayer for layer in layers):
            return None
        if any(layer.get_seq_length() != length for layer in layers):
            return None
        return ReadResponse(tuple((layer.keys, layer.values) for layer in layers), positions)


def continuing(module: Any, cache: DynamicCache) -> dict[str, Any]:
    """Return the inputs that make a model read on behind what a cache holds, and add to it.

    The cache is `cache` from transformers 5.23 on, and was `past_key_values` before.

    Args:
        module: what `find_feature_module` returned.
        cache: keys and values of the tokens before.
    """
    name = "cache" if "cache" in inspect.signature(module.forward).parameters else "past_key_values"
    return {name: cache, "use_cache": True}


def as_position_ids(positions: torch.Tensor) -> torch.Tensor:
    """Return positions of shape (axes, rows, tokens) as models take them: without the axis where there is one."""
    return positions[0] if len(positions) == 1 else positions
