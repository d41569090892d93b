r"""The visual attention ratio: how much of a model's attention goes to its image while it writes.

Let a completion token t be predicted at position q of the finished response (prompt and completion). Over the keys j
that q sees in a layer, with scores s_j of one head::

    a_t = sum_{j is an image token} softmax(s)_j = exp(l_image - l_all),    l_K = log sum_{j in K} exp(s_j)

a number in [0, 1] (arXiv 2509.25848, Section A.4). Keys outside of a layer's sliding window, or ahead, are not seen
and count in neither sum. Averaged over layers and heads it is the curve of the paper's Figure 3A.

The attention counted for a token is that of the query which predicts it: the last position of the prompt for the first
token, the position of token t - 1 for token t. It is the attention that chose the token, and it is row
`len(prompt) - 1 + t` of what `output_attentions=True` returns for the whole response in one pass.

Every layer's output is what transformers' own "sdpa" attention gives, to the bit. Beside it, scores of the response's
queries are made again, a few queries at a time and in float32 whatever the model's dtype, and only their log-sum-exp
is kept: of the image's keys, and of all keys where the kernel does not tell it. No matrix of all tokens by all tokens
is ever made of scores or weights.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from vapo.diagnosis.transformers.key_shares import measure_share
from vapo.errors import ModelError
from vapo.models.image_features import ImageFeatures, find_feature_module
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.inference import inference
from vapo.models.policy.rollout_row import lay_row, reading_row
from vapo.models.tree.attention_switch import switched_attention
from vapo.models.tree.block_attention import FLASH_DTYPES
from vapo.types import Rollout

IMAGE_ATTENTION = "vapo_image_share"


@dataclass(frozen=True, slots=True)
class _Watch:
    """What the layers of a pass over N tokens are asked: the share of image keys in the attention of `rows`."""

    rows: range
    image_keys: torch.Tensor
    num_tokens: int
    shares: list[torch.Tensor] = field(default_factory=list)


_watch: ContextVar[_Watch | None] = ContextVar("watch", default=None)


def attention_on_image(
    model: torch.nn.Module,
    processor: Any,
    rollout: Rollout,
    features: dict[int, ImageFeatures] | None = None,
) -> torch.Tensor:
    """Return the share of each completion token's attention that goes to image tokens.

    All image tokens before a position count, of every image, also of one shown again later in the response. A rollout
    without images has shares of 0. The pass takes one row and the model's mode is restored after it.

    Args:
        model: the policy, wrapped or not.
        processor: its processor.
        rollout: a finished response.
        features: image features kept under 0, read and filled here; give the same dictionary for rollouts that show
            the same images, and they are encoded once.

    Returns:
        float32 on the CPU, shape (completion tokens, layers, heads), in [0, 1]; layers are those with attention, in
        order.

    Raises:
        ModelError: there is no prompt, it has no place for the rollout's images, or the model's attention cannot be
            measured.

    Source: arXiv 2509.25848, Section A.4.
    """
    if not rollout.prompt_ids:
        raise ModelError(
            f"sample {rollout.sample.id!r}: its rollout has no prompt, so nothing predicts its first token"
        )
    policy = Policy(model, processor)
    row = lay_row(policy, rollout)
    if rollout.sample.images and not row.is_image.any():
        raise ModelError(
            f"sample {rollout.sample.id!r} has images, but none of its rollout's tokens is an image token; the "
            "rollout was written with another model's processor"
        )
    module = find_feature_module(model)
    first = len(rollout.prompt_ids) - 1
    is_image = row.is_image[0].cpu()
    rows = range(first, first + len(rollout.completion_ids))
    watch = _Watch(rows, torch.nonzero(is_image).flatten(), len(is_image))
    with inference(model), reading_row(policy, row, features), _watching(module.get_decoder().config, watch):
        model(**row.inputs, use_cache=False, logits_to_keep=1)
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
    if key.shape[2] != watch.num_tokens or query.shape[:1] + query.shape[2:3] != (1, watch.num_tokens):
        raise ModelError(
            f"{name} looks at {key.shape[2]} states where there are {watch.num_tokens} tokens; models that see "
            "images through cross-attention have no image tokens whose share could be measured"
        )
    causal = options.get("is_causal")
    if attention_mask is None and not (getattr(module, "is_causal", True) if causal is None else causal):
        raise ModelError(f"{name} lets text see what comes behind it, so it predicts no tokens that could be measured")
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    output, lse = _attend(module, query, key, value, attention_mask, scale, dropout=dropout, **options)
    share = measure_share(query[0], key[0], watch.rows, watch.image_keys, attention_mask, scale, lse)
    watch.shares.append(share)
    return output, None


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
    **options: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return what "sdpa" gives, shape (1, N, heads, head_dim), and each query's log-sum-exp (heads, N) if it tells."""
    fits = query.device.type == "cpu" and query.dtype in FLASH_DTYPES and query.shape[-1] == value.shape[-1]
    if not fits or options.get("dropout") or options.get("position_bias") is not None:
        return sdpa_attention_forward(module, query, key, value, mask, scaling=scale, **options)[0], None
    # On a CPU this is the kernel that sdpa calls, which makes the sum over all keys anyway and hands it out here.
    groups = query.shape[1] // key.shape[1]
    if mask is not None and mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape, dtype=query.dtype).masked_fill_(~mask, -torch.inf)
    output, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query,
        repeat_kv(key, groups),
        repeat_kv(value, groups),
        0.0,
        mask is None and query.shape[2] > 1,
        attn_mask=mask,
        scale=scale,
    )
    return output.transpose(1, 2).contiguous(), lse[0]


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
