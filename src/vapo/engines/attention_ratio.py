r"""The visual attention ratio: how much of a model's attention goes to its picture while it writes.

Let a completion token t be predicted at position q of the finished chain (prompt and completion). Over the keys j that
q sees in a layer, with scores s_j of one head::

    a_t = sum_{j is an image token} softmax(s)_j = exp(l_image - l_all),    l_K = log sum_{j in K} exp(s_j)

a number in [0, 1] (arXiv 2509.25848, Section A.4). Keys outside of a layer's sliding window, or ahead, are not seen
and count in neither sum. Averaged over layers and heads it is the curve of the paper's Figure 3A.

The attention counted for a token is that of the query which predicts it: the last position of the prompt for the first
token, the position of token t - 1 for token t. It is the attention that chose the token, and it is row
`len(prompt) - 1 + t` of what `output_attentions=True` returns for the whole chain in one pass.

Every layer's output is what transformers' own "sdpa" attention gives, by the same call. Beside it, scores of the
completion's queries are made again a few queries at a time, in float32 whatever the model's dtype, and only their two
sums are kept: no matrix of all tokens by all tokens is ever made of weights.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from vapo.engines.attention_switch import switched_attention
from vapo.engines.reference import inference
from vapo.errors import ModelError
from vapo.models.image_features import ImageFeatures, find_feature_module, shared_image_features
from vapo.models.images import process_images
from vapo.models.vision_tokens import find_image_token_id, find_token_type_name, token_types
from vapo.types import Rollout

IMAGE_ATTENTION = "vapo_image_share"

# Scores made at a time, over all heads. On a CPU a few megabytes stay in its cache; elsewhere larger pieces cost less.
_SCORES_AT_ONCE = {"cpu": 2**20}
_SCORES_AT_ONCE_ELSEWHERE = 2**23


@dataclass(frozen=True, slots=True)
class _Watch:
    """What the layers of one pass are asked: the share of `is_image` keys in the attention of `rows`."""

    rows: range
    is_image: torch.Tensor
    shares: list[torch.Tensor] = field(default_factory=list)


_watch: ContextVar[_Watch | None] = ContextVar("watch", default=None)


def attention_on_image(
    model: torch.nn.Module,
    processor: Any,
    rollout: Rollout,
    features: dict[int, ImageFeatures] | None = None,
) -> torch.Tensor:
    """Return the share of each completion token's attention that goes to image tokens.

    All image tokens before a position count, of every picture, also of one shown again later in the chain. A rollout
    without pictures has shares of 0. The pass takes one row and the model's mode is restored after it.

    Args:
        model: the policy, wrapped or not.
        processor: its processor.
        rollout: a finished chain.
        features: image features kept under 0, read and filled here; give the same dictionary for rollouts that show
            the same pictures, and they are encoded once.

    Returns:
        float32 on the CPU, shape (completion tokens, layers, heads), in [0, 1]; layers are those with attention, in
        order.

    Raises:
        ModelError: there is no prompt, it has no place for the rollout's pictures, or the model's attention cannot be
            measured.

    Source: arXiv 2509.25848, Section A.4.
    """
    if not rollout.prompt_ids:
        raise ModelError(
            f"sample {rollout.sample.id!r}: its rollout has no prompt, so nothing predicts its first token"
        )
    module = find_feature_module(model)
    device = next(module.parameters()).device
    image_token_id = find_image_token_id(module.config)
    ids = rollout.prompt_ids + rollout.completion_ids
    types = token_types(ids, image_token_id)
    if rollout.sample.images and not any(types):
        raise ModelError(
            f"sample {rollout.sample.id!r} has pictures, but none of its rollout's tokens is the image token "
            f"{image_token_id}; the rollout was written by another model's processor"
        )
    inputs: dict[str, Any] = {"input_ids": torch.tensor([ids], device=device)}
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    token_type_name = find_token_type_name(module, processor)
    if token_type_name is not None:
        inputs[token_type_name] = torch.tensor([types], device=device)
    first = len(rollout.prompt_ids) - 1
    watch = _Watch(range(first, first + len(rollout.completion_ids)), torch.tensor(types, device=device))
    with ExitStack() as stack:
        if rollout.sample.images:
            images = process_images(processor, rollout.sample.images).to(device)
            inputs |= images.tensors
            stack.enter_context(shared_image_features(module, [0], [images], features))
        stack.enter_context(inference(model))
        stack.enter_context(_watching(module.get_decoder().config, watch))
        model(**inputs, use_cache=False, logits_to_keep=1)
    if not watch.shares:
        raise ModelError(
            f"{type(module).__name__} does not take its attention from transformers' AttentionInterface, so its "
            "attention cannot be measured; use a model class of transformers itself"
        )
    return torch.stack([share.cpu() for share in watch.shares]).permute(2, 0, 1).contiguous()


def attend_and_watch(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attend as "sdpa" does, and note the share of the image; the signature is that of transformers' functions.

    Raises:
        ModelError: the layer does what "sdpa" leaves out, or looks at something else than the row of tokens.
    """
    watch, name = _watch.get(), type(module).__name__
    if watch is None:
        raise ModelError(f"{IMAGE_ATTENTION!r} attention works inside attention_on_image alone")
    if options.get("softcap") is not None or options.get("s_aux") is not None:
        raise ModelError(f"{name} caps its scores or attends to sinks, which sdpa does not; it cannot be measured")
    if key.shape[2] != len(watch.is_image) or query.shape[:1] + query.shape[2:3] != (1, len(watch.is_image)):
        raise ModelError(
            f"{name} looks at {key.shape[2]} states where there are {len(watch.is_image)} tokens; models that see "
            "pictures through cross-attention have no image tokens whose share could be measured"
        )
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    watch.shares.append(measure_share(query[0], key[0], watch.rows, watch.is_image, attention_mask, scale))
    return sdpa_attention_forward(
        module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
    )


def measure_share(
    query: torch.Tensor,
    key: torch.Tensor,
    rows: range,
    counted: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
) -> torch.Tensor:
    """Return the softmax mass that each of `rows` gives to the keys that are counted.

    Args:
        query: shape (heads, N, head_dim).
        key: shape (key_heads, N, head_dim), with heads a multiple of key_heads.
        rows: the queries to measure, consecutive.
        counted: 1 for keys that count, 0 for others; shape (N,).
        mask: which keys are seen, shape (1, 1 or heads, N, N), booleans or what is added to scores; None is causal.
        scale: factor of the scores.

    Returns:
        Shape (heads, len(rows)), in [0, 1].
    """
    heads, num_tokens, head_dim = query.shape
    key_heads, device = key.shape[0], query.device
    dtype = torch.promote_types(query.dtype, torch.float32)
    keys = key.to(dtype)
    # Two columns, for one product with the weights: who counts, and all.
    sums_of = torch.stack([counted.to(device), torch.ones_like(counted, device=device)], dim=1).to(dtype)
    shares = torch.empty(heads, len(rows), dtype=torch.float32, device=device)
    at_once = max(1, _SCORES_AT_ONCE.get(device.type, _SCORES_AT_ONCE_ELSEWHERE) // (heads * num_tokens))
    for start in range(rows.start, rows.stop, at_once):
        stop = min(start + at_once, rows.stop)
        first, last, hidden = _find_seen(mask, start, stop, device)
        queries = (query[:, start:stop].to(dtype) * scale).reshape(key_heads, -1, head_dim)
        scores = (queries @ keys[:, first:last].mT).view(heads, stop - start, last - first)
        if hidden.dtype == torch.bool:
            scores.masked_fill_(hidden, -torch.inf)
        else:
            scores += hidden
        # exp(l - max) of both log-sum-exps; the largest score cancels in their difference.
        weights = scores.sub_(scores.amax(-1, keepdim=True)).exp_()
        sums = weights @ sums_of[first:last]
        shares[:, start - rows.start : stop - rows.start] = sums[..., 0] / sums[..., 1]
    return shares


def _find_seen(
    mask: torch.Tensor | None, start: int, stop: int, device: torch.device
) -> tuple[int, int, torch.Tensor]:
    """Return the keys [first, last) outside of which rows [start, stop) see none, and what hides keys among them."""
    if mask is None:
        keys, rows = (torch.arange(*ends, device=device) for ends in ((0, stop), (start, stop)))
        return 0, stop, keys[None, :] > rows[:, None]
    own = mask[0, :, start:stop]
    if own.dtype != torch.bool:
        return 0, own.shape[-1], own
    columns = torch.nonzero(own.any(dim=(0, 1))).flatten()
    first, last = int(columns[0]), int(columns[-1]) + 1
    return first, last, ~own[..., first:last]


@contextmanager
def _watching(config: Any, watch: _Watch) -> Generator[None]:
    token = _watch.set(watch)
    try:
        with switched_attention(config, IMAGE_ATTENTION):
            yield
    finally:
        _watch.reset(token)


AttentionInterface.register(IMAGE_ATTENTION, attend_and_watch)
AttentionMaskInterface.register(IMAGE_ATTENTION, sdpa_mask)
