"""What a vision tower keeps of the images in a pass."""

from __future__ import annotations

import math
from typing import Any

from vapo.errors import ModelError
from vapo.models.image_features import find_feature_module

LAYERS = ("depth", "num_hidden_layers")
WIDTHS = ("hidden_size", "embed_dim")


def estimate_image_bytes(model: Any, image_tokens: int, *, values: int, trained: bool, checkpointing: bool) -> float:
    """Return what is held of images at the end of the forward pass, in bytes.

    A block keeps its input, both norms, queries, keys, values and what is attended to, and its feed-forward layer
    before and behind the activation; families differ by less than this part weighs.

    Args:
        model: see `read_model_shape`.
        image_tokens: that the images become.
        values: bytes of a number.
        trained: whether the tower is.
        checkpointing: whether it keeps the inputs of blocks alone.

    Raises:
        ModelError: the tower is trained, and its configuration does not say its size.
    """
    config = find_feature_module(model).config
    features = float(image_tokens * config.get_text_config().hidden_size * values)
    if not trained:
        return features
    vision = config.vision_config
    depth, width = (
        next((getattr(vision, name) for name in names if hasattr(vision, name)), None) for names in (LAYERS, WIDTHS)
    )
    if depth is None or width is None:
        raise ModelError(
            f"{type(vision).__name__} does not say how many layers the vision tower has and how wide they are, so "
            "what they keep while they are trained cannot be planned; set freeze_vision: true, or train adapters"
        )
    inner = getattr(vision, "intermediate_size", None) or int(width * getattr(vision, "mlp_ratio", 4))
    numbers = width if checkpointing else 8 * width + 2 * inner
    return features + count_patches(model, image_tokens) * depth * numbers * values


def count_patches(model: Any, image_tokens: int) -> int:
    """Return how many patches a vision tower reads for so many tokens of images."""
    config = find_feature_module(model).config
    vision = config.vision_config
    merged = getattr(vision, "spatial_merge_size", None) or getattr(config, "scale_factor", None) or 1
    ratio = getattr(config, "downsample_ratio", None) or 1
    return math.ceil(image_tokens * merged**2 / ratio**2)
