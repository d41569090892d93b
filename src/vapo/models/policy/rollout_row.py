"""A rollout as one row of a model's inputs: prompt, images and completion, without padding."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from vapo.models.first_device import find_first_device
from vapo.models.image_features import ImageFeatures, find_feature_module, shared_image_features
from vapo.models.images import ImageInputs, process_images
from vapo.models.policy.checkpoint import Policy
from vapo.models.vision_tokens import find_image_token_id, find_token_type_name
from vapo.types import Rollout


@dataclass(frozen=True, slots=True)
class RolloutRow:
    """A rollout of N tokens as a batch of one row.

    Attributes:
        inputs: arguments of the model's forward pass; token tensors have shape (1, N).
        is_image: 1 for image tokens, 0 for text; shape (1, N).
        images: the images; without tensors where there are none.
    """

    inputs: dict[str, Any]
    is_image: torch.Tensor
    images: ImageInputs


def lay_row(policy: Policy, rollout: Rollout) -> RolloutRow:
    """Make the inputs of one rollout, on the device that takes them."""
    module = find_feature_module(policy.model)
    device = find_first_device(module)
    images = ImageInputs({})
    if rollout.sample.images:
        images = process_images(policy.processor, rollout.sample.images).to(device)
    ids = torch.tensor([rollout.prompt_ids + rollout.completion_ids], device=device)
    is_image = (ids == find_image_token_id(module.config)).long()
    # All ones: without it transformers guesses from positions that sequences lie side by side.
    inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": torch.ones_like(ids), **images.tensors}
    token_type_name = find_token_type_name(module, policy.processor)
    if token_type_name is not None:
        inputs[token_type_name] = is_image
    return RolloutRow(inputs, is_image, images)


@contextmanager
def reading_row(policy: Policy, row: RolloutRow, features: dict[int, ImageFeatures] | None = None) -> Generator[None]:
    """Make the next call of the model on the row's inputs find its images' features, in the text's precision.

    Args:
        policy: the model and its processor.
        row: what it will be called on.
        features: image features kept under 0, read and filled; None encodes the images for this call alone.
    """
    module = find_feature_module(policy.model)
    with shared_image_features(module, [0] if row.images.tensors else [], [row.images], features):
        yield
