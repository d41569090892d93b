"""The images that a response is sampled from, where an algorithm exchanges them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vapo.algorithms.algorithm import Algorithm
from vapo.errors import ConfigError

if TYPE_CHECKING:
    from PIL.Image import Image

_SAMPLED_DRAWS = 4  # keeps this generator apart from others with the same seed


def choose_images(
    algorithm: Algorithm,
    images: Sequence[Image],
    *,
    seed: int,
    place: Sequence[int],
    member: int,
    group_size: int,
    progress: float,
) -> list[Image]:
    """Return what `Algorithm.images_to_sample` chooses, drawn by the response's place in its run.

    Args:
        algorithm: chooses.
        images: of the prompt.
        seed: of the run.
        place: numbers that tell the response from all others of the run.
        member: its own place in the group.
        group_size: responses of the prompt.
        progress: share of training done, in [0, 1].

    Raises:
        ConfigError: an image differs in size, so that its prompt would have other tokens.
    """
    rng = np.random.default_rng([seed, _SAMPLED_DRAWS, *place])
    chosen = list(algorithm.images_to_sample(images, member, group_size, rng, progress))
    if [image.size for image in chosen] != [image.size for image in images]:
        raise ConfigError(
            "images_to_sample returned images of other sizes than the row's own, which would have other tokens; scale "
            "them back"
        )
    return chosen
