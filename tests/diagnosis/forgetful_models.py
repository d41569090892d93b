r"""Models whose forgetting is known, because it is built in: the lab's checkpoint with its image taken away by rule.

A rule lowers the score s of a query at position p for an image key at position j, in every layer and head::

    s'_pj = s_pj + sum_c f_c(p) g_c(j)

The sum is an inner product, so it is put into the states themselves: queries get the columns f_c(p), keys the columns
g_c(j), which are 0 for text. Whatever multiplies queries and keys then computes it, without knowing: any attention
implementation, packed trees, probes, caches that were filled before, generation and teacher-forced passes alike. The
columns are not turned by the rotary embedding (their cosine is 1), and values carry zeros that are cut off again.

Positions are counted on a token's own path, without padding.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import torch

from vapo.models.policy.checkpoint import Policy

Columns = tuple[torch.Tensor, torch.Tensor]
"""Two columns, each of shape (rows, tokens)."""

UNSEEN = -1e4
"""Added to a score: its weight is 0 in float32."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How scores for image keys are lowered: `of_query(p)` and `of_key(j)` give two columns, multiplied and summed."""

    name: str
    of_query: Callable[[torch.Tensor], Columns]
    of_key: Callable[[torch.Tensor], Columns]


def untouched() -> Rule:
    """Lower nothing."""
    return Rule("untouched", lambda p: (0 * p, 0 * p), lambda j: (0 * j, 0 * j))


def fade(slope: float) -> Rule:
    """Lower scores by `slope` for every token that lies between query and image token: -slope (p - j)."""
    return Rule("fading", lambda p: (-slope * p, slope + 0 * p), lambda j: (1 + 0 * j, j))


def go_blind(position: int) -> Rule:
    """Make image tokens invisible to all tokens from a position on."""
    return Rule("blind", lambda p: (UNSEEN * (p >= position), 0 * p), lambda j: (1 + 0 * j, 0 * j))


def make_forgetful(policy: Policy, rule: Rule) -> Policy:
    """Return a policy like the lab's whose attention to the image follows a rule; the one given is not changed."""
    model = deepcopy(policy.model)
    states = _States(rule, model.config.image_token_id)
    model.model.register_forward_pre_hook(states.note, with_kwargs=True)
    text = model.model.language_model
    text.rotary_emb = _StandingStill(text.rotary_emb)
    for layer in text.layers:
        attention = layer.self_attn
        head_dim, scale = attention.head_dim, attention.scaling
        attention.q_proj = _Widened(attention.q_proj, head_dim, lambda scale=scale: states.of_query / scale)
        attention.k_proj = _Widened(attention.k_proj, head_dim, lambda: states.of_key)
        attention.v_proj = _Widened(attention.v_proj, head_dim, lambda: torch.zeros_like(states.of_key))
        attention.head_dim = head_dim + 2
        attention.o_proj = _Narrowed(attention.o_proj, head_dim)
    return Policy(model, policy.processor, rule.name)


@dataclass
class _States:
    """The columns of the pass that is under way; shapes (rows, tokens, 2)."""

    rule: Rule
    image_token_id: int
    of_query: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    of_key: torch.Tensor = field(default_factory=lambda: torch.zeros(0))

    def note(self, _module: Any, _args: Any, inputs: dict[str, Any]) -> None:
        """Before each pass: find each token's position, and which are image tokens."""
        ids = inputs["input_ids"]
        positions = _find_positions(inputs).to(torch.float32).expand(ids.shape)
        is_image = (ids == self.image_token_id)[..., None]
        self.of_query = torch.stack(self.rule.of_query(positions), dim=-1)
        self.of_key = torch.stack(self.rule.of_key(positions), dim=-1) * is_image


def _find_positions(inputs: dict[str, Any]) -> torch.Tensor:
    length = inputs["input_ids"].shape[1]
    if inputs.get("position_ids") is not None:
        return inputs["position_ids"]
    if inputs.get("attention_mask") is not None:
        return (inputs["attention_mask"].cumsum(-1) - 1).clamp(min=0)[:, -length:]
    cache = inputs.get("cache", inputs.get("past_key_values"))  # by the version of transformers
    return torch.arange(length)[None] + (0 if cache is None else cache.get_seq_length())


class _Widened(torch.nn.Module):
    """A projection whose heads get a column more at the end of either half: rotary embeddings turn halves together."""

    def __init__(self, projection: torch.nn.Module, head_dim: int, columns: Callable[[], torch.Tensor]) -> None:
        super().__init__()
        self.projection, self._head_dim, self._columns = projection, head_dim, columns

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        states = self.projection(hidden).unflatten(
            -1, (-1, 2, self._head_dim // 2)
        )  # rows, tokens, heads, halves, dims
        columns = self._columns()[:, :, None, :, None].to(states.dtype).expand(*states.shape[:-1], 1)
        return torch.cat([states, columns], dim=-1).flatten(2)


class _Narrowed(torch.nn.Module):
    """An output projection that leaves the columns out again."""

    def __init__(self, projection: torch.nn.Module, head_dim: int) -> None:
        super().__init__()
        self.projection, self._head_dim = projection, head_dim

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return self.projection(states.unflatten(-1, (-1, 2, self._head_dim // 2 + 1))[..., :-1].flatten(2))


class _StandingStill(torch.nn.Module):
    """Rotary embeddings that leave the columns as they are."""

    def __init__(self, embedding: torch.nn.Module) -> None:
        super().__init__()
        self.embedding = embedding

    def forward(self, hidden: torch.Tensor, position_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        cos, sin = (part.unflatten(-1, (2, -1)) for part in self.embedding(hidden, position_ids))
        ones = torch.ones_like(cos[..., :1])
        return torch.cat([cos, ones], dim=-1).flatten(-2), torch.cat([sin, 0 * ones], dim=-1).flatten(-2)
