"""The share of attention on the image along one finished response (arXiv 2509.25848, Section A.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from vapo.errors import ModelError
from vapo.models.image_attention import TokenPath, describe_foreign_attention, measuring_attention
from vapo.models.image_features import ImageFeatures, find_feature_module
from vapo.models.key_shares import average_weights, measure_share
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.inference import inference
from vapo.models.policy.rollout_row import lay_row, reading_row
from vapo.models.tree.attention_switch import switched_attention
from vapo.types import Rollout


def attention_on_image(
    model: torch.nn.Module,
    processor: Any,
    rollout: Rollout,
    features: dict[int, ImageFeatures] | None = None,
) -> torch.Tensor:
    """Return the share of each completion token's attention that goes to image tokens.

    All image tokens before a position count, of every image, also of one shown again later in the response. A rollout
    without images has shares of 0. The pass takes one row, layers attend by "sdpa" (or "eager", where a family lacks
    it), and the model's mode is restored after it. `vapo.models.image_attention` has the formula.

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
    shares = _read(model, processor, rollout, features, measure_share)
    return torch.stack(shares).permute(2, 0, 1).contiguous()


def weights_on_image(
    model: torch.nn.Module, processor: Any, rollout: Rollout, features: dict[int, ImageFeatures] | None = None
) -> torch.Tensor:
    """Return each image token's weight in the attention of each completion token, averaged over heads.

    Arguments and errors are those of `attention_on_image`, whose mean over heads is the sum of this over image tokens.

    Returns:
        float32 on the CPU, shape (layers, completion tokens, image tokens), image tokens in the order of the prompt.
    """
    weights = _read(model, processor, rollout, features, average_weights)
    return torch.stack(weights)


def _read(
    model: torch.nn.Module,
    processor: Any,
    rollout: Rollout,
    features: dict[int, ImageFeatures] | None,
    measure: Callable[..., torch.Tensor],
) -> list[torch.Tensor]:
    """Return what `measure` makes of each layer, on the CPU."""
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
    decoder = module.get_decoder()
    is_image = row.is_image[0].cpu().bool()
    path = TokenPath(0, torch.arange(len(is_image)), is_image, len(rollout.completion_ids))
    shares: list[torch.Tensor] = []
    with (
        inference(model),
        reading_row(policy, row, features),
        switched_attention(decoder.config, "sdpa" if decoder._supports_sdpa else "eager"),
        measuring_attention(model, [path], lambda _layer, found: shares.extend(found), measure=measure),
    ):
        model(**row.inputs, use_cache=False, logits_to_keep=1)
    if not shares:
        raise ModelError(describe_foreign_attention(module))
    return [share.cpu() for share in shares]
