"""Cuts of responses that were read, as the rows of one batch that is written on.

A row takes the keys and values of the tokens before its cut. Rows are aligned at their ends, so that a row's slots are
its tokens without a gap: a window that counts slots counts tokens, and each row reads as it would alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch.nn.functional import pad
from transformers import DynamicCache

from vapo.diagnosis.transformers.response_reader import ReadResponse, as_position_ids, continuing
from vapo.models.image_features import find_feature_module
from vapo.models.media_tokens import find_vision_token_ids
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.rollout_row import lay_row, reading_row
from vapo.models.tolerance import Tolerance
from vapo.types import Rollout

_agrees: WeakKeyDictionary[torch.nn.Module, bool] = WeakKeyDictionary()  # with its own plain pass, by a first look


@dataclass(frozen=True, slots=True)
class Branch:
    """A response kept up to `index` tokens, with `ids` behind it, to be continued."""

    rollout: Rollout
    index: int
    ids: tuple[int, ...] = ()

    @property
    def all_ids(self) -> tuple[int, ...]:
        """All tokens before the first new one."""
        return self.rollout.prompt_ids + self.rollout.completion_ids[: self.index] + self.ids

    @property
    def num_tokens(self) -> int:
        """Their number."""
        return len(self.rollout.prompt_ids) + self.index + len(self.ids)


def write_on(
    policy: Policy,
    branches: Sequence[Branch],
    responses: Sequence[ReadResponse],
    max_new_tokens: int,
    eos_ids: Sequence[int],
) -> list[tuple[int, ...]] | None:
    """Return the tokens written behind each branch, or None if this model would not write them by itself.

    The first time that a model comes here, the distribution of one first token is compared with that of a plain pass
    over the whole row.

    Args:
        policy: the model and its processor.
        branches: at least one; every row is fed as many tokens as the longest has behind its cut, which must not
            reach back into an image.
        responses: what was read of each branch's rollout.
        max_new_tokens: longest continuation.
        eos_ids: tokens that end one.
    """
    if not _agrees.get(policy.model, True):
        return None
    module = find_feature_module(policy.model)
    fed = max(1, *(len(branch.ids) for branch in branches))
    ids, positions, mask, cache = _feed(branches, responses, fed)
    device = ids.device
    never = list(find_vision_token_ids(policy.model.config, policy.processor))
    ends = torch.tensor(list(eos_ids), device=device)
    rows = list(range(len(branches)))
    written: list[list[int]] = [[] for _ in branches]
    for _ in range(max_new_tokens):
        output = policy.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=as_position_ids(positions),
            **continuing(module, cache),
            logits_to_keep=1,
        )
        logits = output.logits[:, -1].to(device, torch.float32, copy=True)
        if not _agree(policy, branches, logits):
            return None
        logits[:, never] = -torch.inf
        ids = logits.argmax(-1, keepdim=True)
        for row, token in zip(rows, ids[:, 0].tolist(), strict=True):
            written[row].append(token)
        going = ~torch.isin(ids[:, 0], ends)
        if not bool(going.all()):
            left = going.nonzero()[:, 0]
            if not len(left):
                break
            rows = [rows[place] for place in left.tolist()]
            ids, mask, positions = ids[left], mask[left], positions[:, left]
            layers: list[Any] = list(cache.layers)
            for layer in layers:
                layer.batch_select_indices(left.to(layer.keys.device))
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
        positions = positions[:, :, -1:] + 1
    return [tuple(ids) for ids in written]


def score_ends(
    policy: Policy, branches: Sequence[Branch], responses: Sequence[ReadResponse], counts: Sequence[int]
) -> list[tuple[float, ...]] | None:
    """Return the log-probabilities of each branch's last tokens, or None if this model would read them otherwise.

    Args:
        policy: the model and its processor.
        branches: as for `write_on`; every row is fed one token more than that.
        responses: what was read of each branch's rollout.
        counts: number of last tokens, for each branch from 1 to that of its `ids`.
    """
    if not _agrees.get(policy.model, True):
        return None
    module = find_feature_module(policy.model)
    fed = 1 + max(len(branch.ids) for branch in branches)
    ids, positions, mask, cache = _feed(branches, responses, fed)
    most = max(counts) + 1
    output = policy.model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=as_position_ids(positions),
        **continuing(module, cache),
        logits_to_keep=most,
    )
    logits = output.logits[:, -most:].to(ids.device, torch.float32)
    if not _agree(policy, branches, logits[:, -1]):
        return None
    return [take_last(own, row, count) for own, row, count in zip(logits, ids, counts, strict=True)]


def take_last(logits: torch.Tensor, ids: torch.Tensor, count: int) -> tuple[float, ...]:
    """Return the log-probabilities of the last `count` of a row's tokens.

    Args:
        logits: of each token's successor, float32; shape (at least count + 1, vocabulary), the last one unused.
        ids: of the row, shape (at least count,).
        count: at least 1.
    """
    logprobs = logits[-count - 1 : -1].log_softmax(-1).gather(-1, ids[-count:, None])
    return tuple(map(float, logprobs[:, 0]))


def _feed(
    branches: Sequence[Branch], responses: Sequence[ReadResponse], fed: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, DynamicCache]:
    """Return the last `fed` tokens of each branch, their positions, the mask, and the memory of all before them."""
    device = responses[0].prompt_positions.device
    kept = [branch.num_tokens - fed for branch in branches]
    ids = torch.tensor([branch.all_ids[-fed:] for branch in branches], device=device)
    pairs = list(zip(responses, kept, strict=True))
    positions = torch.stack([response.positions(length, length + fed) for response, length in pairs], dim=1)
    slots = torch.arange(max(kept) + fed, device=device)
    mask = (slots >= max(kept) - torch.tensor(kept, device=device)[:, None]).long()
    return ids, positions, mask, _align(pairs)


def _agree(policy: Policy, branches: Sequence[Branch], logits: torch.Tensor) -> bool:
    """Return whether the model reads branches as a plain pass does, which is looked at once, on the shortest."""
    if policy.model not in _agrees:
        lengths = [branch.num_tokens for branch in branches]
        shortest = lengths.index(min(lengths))
        _agrees[policy.model] = _first_token_agrees(policy, branches[shortest], logits[shortest])
    return _agrees[policy.model]


def _align(pairs: Sequence[tuple[ReadResponse, int]]) -> DynamicCache:
    """Return the first tokens of each response as one batch, aligned at their ends."""
    longest = max(kept for _, kept in pairs)
    cache = DynamicCache()
    for number in range(len(pairs[0][0].layers)):
        keys, values = (
            torch.cat(
                [
                    pad(response.layers[number][part][:, :, :kept], (0, 0, longest - kept, 0))
                    for response, kept in pairs
                ]
            )
            for part in (0, 1)
        )
        cache.update(keys, values, number)
    return cache


def _first_token_agrees(policy: Policy, branch: Branch, logits: torch.Tensor) -> bool:
    rollout = branch.rollout
    ids = rollout.completion_ids[: branch.index] + branch.ids
    row = lay_row(policy, replace(rollout, completion_ids=ids, token_texts=("",) * len(ids)))
    with reading_row(policy, row):
        plain = policy.model(**row.inputs, use_cache=False, logits_to_keep=1).logits[0, -1]
    difference = (plain.to(logits.device, torch.float32).softmax(-1) - logits.softmax(-1)).abs().max()
    return Tolerance.of(policy.model).allows(float(difference))
