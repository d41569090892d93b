"""An image as a few bits that change little when it is saved again, resized or brightened, and much otherwise."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

SIDE = 64
"""Height and width of the grey image that is hashed, in pixels."""

BITS = 255
"""Bits of a hash: 16 x 16 frequencies, without the mean grey."""

_LOW = 16
_TOGETHER = 4_000_000  # distances held at a time, 16 MB


def hash_grey(grey: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Hash a grey image by its low frequencies.

    bits = F > median(F), where F holds the 16 x 16 lowest frequencies of the image's discrete cosine transform
    (type II), the mean grey left out.

    Args:
        grey: shape (SIDE, SIDE), in any linear scale.

    Returns:
        Shape (BITS,).

    Raises:
        ValueError: the image has another shape.

    Source: the "pHash" of Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), with
    four times its bits.
    """
    if grey.shape != (SIDE, SIDE):
        raise ValueError(f"the image to hash has shape {grey.shape}; resize it to ({SIDE}, {SIDE})")
    basis = np.cos(np.pi * np.arange(_LOW)[:, None] * (2 * np.arange(SIDE) + 1) / (2 * SIDE))
    low = (basis @ grey @ basis.T).ravel()[1:]
    # What rounding leaves of a frequency that is not there must not decide a bit: plain images are all alike.
    low[np.abs(low) < 1e-9 * SIDE * SIDE * max(1.0, float(np.abs(grey).max()))] = 0.0
    return low > np.median(low)


def find_near(
    hashes_NB: NDArray[np.bool_], others_MB: NDArray[np.bool_], max_distance: int
) -> Iterator[tuple[int, int, int]]:
    """Find all pairs of hashes that differ in few bits.

    Args:
        hashes_NB: shape (N, bits).
        others_MB: shape (M, bits).
        max_distance: the most bits that may differ.

    Yields:
        (row of `hashes_NB`, row of `others_MB`, bits that differ), in order.
    """
    if not len(hashes_NB) or not len(others_MB):
        return
    num_bits = hashes_NB.shape[1]
    signs_MB = np.where(others_MB, np.float32(1), np.float32(-1))
    step = max(1, _TOGETHER // len(signs_MB))
    for start in range(0, len(hashes_NB), step):
        signs_NB = np.where(hashes_NB[start : start + step], np.float32(1), np.float32(-1))
        # A product of signs is +1 where bits agree and -1 where they differ. Sums of 255 are exact in float32.
        differing_NM = (num_bits - signs_NB @ signs_MB.T) / 2
        for row, other in np.argwhere(differing_NM <= max_distance):
            yield start + int(row), int(other), int(differing_NM[row, other])
