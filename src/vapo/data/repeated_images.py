"""A turn that shows a question's images again: what of it is the same for every way to run a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

from vapo.data.image_views import scale_image
from vapo.data.prompts import PLACE
from vapo.errors import ModelError
from vapo.types import Sample

REPLAY_SENTENCE = "Here is the image again. Look at it, then go on."
"""Beside the image in the user turn. The paper shows the image (Appendix A.5); the words are ours."""

STAND_INS = ("I count seven", "The sum is 7")
"""Answers of which nothing but the turn around them is used: what two conversations have in common at their ends."""


def repeat_images(sample: Sample, scale: float) -> Sample:
    """Return the sample with the question's own images once more, their sides scaled.

    Places in its question say from then on how many images are its own.

    Raises:
        ConfigError: the scale is not in (0, 1].
        ModelError: there is no image.
    """
    if not sample.images:
        raise ModelError(f"sample {sample.id!r} has no image that could be shown again")
    count = sample.question.count(PLACE) or len(sample.images)
    again = tuple(scale_image(image, scale) for image in sample.images[:count])
    question = sample.question if PLACE in sample.question else PLACE * count + sample.question
    return replace(sample, images=(*sample.images, *again), question=question)


def find_common_end(first: Sequence[int], second: Sequence[int]) -> tuple[int, ...]:
    """Return the longest run of tokens with which both end."""
    pairs = zip(reversed(first), reversed(second), strict=False)
    length = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    return tuple(first[len(first) - length :])
