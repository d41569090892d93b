"""By what an image is found again: its pixels, or a hash that a resized or recompressed copy shares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vapo.core.image_names import name_image
from vapo.core.perceptual_hash import SIDE, hash_grey
from vapo.data.checks import Progress, RowProblem, map_rows
from vapo.data.images import ImagePolicy, open_image
from vapo.data.row_reader import RowReader, read_images
from vapo.errors import DataError


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """One image.

    Attributes:
        name: of its pixels; a copy in another lossless format has the same.
        bits: its perceptual hash, shape (255,).
    """

    name: str
    bits: NDArray[np.bool_]


def take_fingerprint(image: Image.Image) -> Fingerprint:
    """Take the fingerprint of an upright RGB image, as `open_image` returns it."""
    grey = image.convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return Fingerprint(name_image(image), hash_grey(np.asarray(grey, dtype=np.float64)))


def take_fingerprints(
    reader: RowReader, policy: ImagePolicy, count: int, progress: Progress | None = None
) -> Iterator[tuple[int, list[Fingerprint] | RowProblem]]:
    """Take the fingerprints of the images of the first `count` rows.

    Args:
        reader: reads the rows; of its columns only the one of images is looked at.
        policy: which images may be opened.
        count: how many rows.
        progress: told how far the work is.

    Yields:
        The row's number with a fingerprint for each image that it has, or with what is wrong with one of them.
    """

    def take(index: int) -> list[Fingerprint] | RowProblem:
        try:
            images, folder = read_images(reader.rows.read(index), reader.layout), reader.find_folder(index)
            return [take_fingerprint(open_image(image, folder, policy)) for image in images]
        except DataError as error:
            return RowProblem(index, reader.rows.locate(index), str(error))

    yield from map_rows(take, range(count), progress)
