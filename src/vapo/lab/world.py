"""The world: real handwritten digits laid on a grid whose rows and columns are marked in the image.

The digits are scikit-learn's 1,797 images of 8 x 8 pixels. Each image belongs for ever to one split, so that a
model is measured on handwriting it never saw, whatever seeds made its data. Every cell is `CELL` pixels wide, the
size of one patch of the lab's vision tower: a cell is one image token.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from PIL import Image

from .cell_names import MAX_LINES, cell_name, column_mark, mark_bitmap, row_mark

Split = Literal["train", "heldout", "practice"]
"""Two splits of the real images, and "practice": the train images and slightly turned and slanted copies of them,
which only the cold start sees."""

CELL = 16
"""Side of a cell, and of a patch, in pixels."""

GRIDS = ((2, 3), (3, 2))
"""Sizes of grids, rows by columns, that fit the default canvas of 64 pixels."""

_DIGIT = 13
_SPLIT_SEED = 20260329
_HELD_OUT_SHARE = 0.2
_COPIES = 7
_PAPER, _LINE, _MARK, _INK = (250, 250, 246), (205, 205, 205), (30, 70, 190), (20, 20, 20)


@dataclass(frozen=True, slots=True)
class Grid:
    """The truth of an image: `digits[row][column]`, each 0 to 9."""

    digits: tuple[tuple[int, ...], ...]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.digits)

    @property
    def columns(self) -> int:
        """Number of columns."""
        return len(self.digits[0])

    @property
    def cells(self) -> list[tuple[int, int]]:
        """All (row, column) pairs, row by row."""
        return [(row, column) for row in range(self.rows) for column in range(self.columns)]

    @property
    def names(self) -> list[str]:
        """All cell names, row by row."""
        return [cell_name(row, column) for row, column in self.cells]

    @property
    def by_name(self) -> dict[str, int]:
        """The digit of each cell, by the cell's name, row by row."""
        return dict(zip(self.names, self.flat(), strict=True))

    def flat(self) -> list[int]:
        """All digits, row by row."""
        return [digit for line in self.digits for digit in line]


@dataclass(frozen=True, slots=True)
class Scene:
    """A grid together with the handwriting that shows it: which image of each digit, and its place in the cell."""

    grid: Grid
    images: tuple[int, ...]
    shifts: tuple[tuple[int, int], ...]
    split: Split


@dataclass(frozen=True, slots=True)
class Handwriting:
    """The images of one split: `ink[n, 13, 13]` in 0..1, and for each digit the indices of its images."""

    ink: np.ndarray
    source: np.ndarray
    of_digit: tuple[np.ndarray, ...]


@cache
def load_handwriting(split: Split) -> Handwriting:
    """Load one split of the digits; four fifths are "train", the rest "heldout", the same share of every digit."""
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    rng = np.random.default_rng(_SPLIT_SEED)
    chosen: list[np.ndarray] = []
    for digit in range(10):
        members = rng.permutation(np.flatnonzero(digits.target == digit))
        held_out = round(len(members) * _HELD_OUT_SHARE)
        part = np.sort(members[:held_out] if split == "heldout" else members[held_out:])
        chosen.append(np.repeat(part, 1 + _COPIES) if split == "practice" else part)
    source = np.concatenate(chosen)
    images = (digits.images * (255 / 16)).round().astype(np.uint8)
    rng = np.random.default_rng(_SPLIT_SEED + 1)
    original = np.concatenate([[True], source[1:] != source[:-1]])
    ink = np.stack(
        [_enlarge(images[index], None if as_it_is else rng) for index, as_it_is in zip(source, original, strict=True)]
    )
    ends = np.cumsum([0] + [len(members) for members in chosen])
    of_digit = tuple(np.arange(ends[digit], ends[digit + 1]) for digit in range(10))
    return Handwriting(ink, source, of_digit)


def _enlarge(image: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
    """Enlarge 8 x 8 to 13 x 13, ink in 0..1; with a generator, turn, slant and stretch it a little."""
    matrix = np.eye(2)
    if rng is not None:
        turn, slant = rng.normal(0, 0.12), rng.normal(0, 0.15)
        cosine, sine = np.cos(turn), np.sin(turn)
        matrix = np.array([[cosine, -sine], [sine, cosine]]) @ np.array([[1, slant], [0, 1]])
        matrix = matrix * rng.uniform(0.88, 1.12, size=(2, 1))
    scaled = matrix * (len(image) / _DIGIT)
    shift = len(image) / 2 - scaled @ np.full(2, _DIGIT / 2)
    numbers = (*scaled[0], shift[0], *scaled[1], shift[1])
    enlarged = Image.fromarray(image).transform(
        (_DIGIT, _DIGIT), Image.Transform.AFFINE, numbers, Image.Resampling.BILINEAR
    )
    return np.asarray(enlarged, np.float32) / 255


def draw_scene(rng: np.random.Generator, rows: int, columns: int, split: Split) -> Scene:
    """Draw a grid at random, with at least two different digits and some that repeat, and its handwriting.

    The digits of a grid come from a palette of about 0.6 digits per cell, so that counts above one are common.
    Raises ValueError if there are more rows or columns than marks, or fewer than two of either.
    """
    if not (2 <= rows <= MAX_LINES and 2 <= columns <= MAX_LINES):
        raise ValueError(f"a grid of {rows} x {columns} is outside 2 x 2 to {MAX_LINES} x {MAX_LINES}")
    palette = rng.permutation(10)[: min(10, round(0.6 * rows * columns) + 1)]
    while True:
        flat = rng.choice(palette, size=rows * columns)
        if len(np.unique(flat)) > 1:
            break
    of_digit = load_handwriting(split).of_digit
    images = tuple(int(rng.choice(of_digit[digit])) for digit in flat)
    shifts = tuple((int(down), int(right)) for down, right in rng.integers(1, 4, size=(len(flat), 2)))
    digits = tuple(tuple(int(digit) for digit in line) for line in flat.reshape(rows, columns))
    return Scene(Grid(digits), images, shifts, split)


def paint(scene: Scene, canvas: int) -> np.ndarray:
    """Paint a scene, marks in the first row and column of cells, on a square of `canvas` pixels.

    Returns uint8 [canvas, canvas, 3]. The grid lies in the upper left; what is left over stays blank.
    Raises ValueError if the grid with its marks does not fit.
    """
    rows, columns = scene.grid.rows, scene.grid.columns
    if CELL * (max(rows, columns) + 1) > canvas:
        raise ValueError(f"a grid of {rows} x {columns} with its marks does not fit on {canvas} pixels")
    page = np.empty((canvas, canvas, 3), np.float32)
    page[:] = _PAPER
    bottom, right = CELL * (rows + 1), CELL * (columns + 1)
    page[CELL:bottom:CELL, CELL:right] = _LINE
    page[CELL:bottom, CELL:right:CELL] = _LINE
    for row in range(rows):
        page[CELL * (row + 1) + 5 : CELL * (row + 1) + 12, 6:11][mark_bitmap(row_mark(row))] = _MARK
    for column in range(columns):
        page[5:12, CELL * (column + 1) + 6 : CELL * (column + 1) + 11][mark_bitmap(column_mark(column))] = _MARK
    ink = load_handwriting(scene.split).ink
    for (row, column), image, (down, across) in zip(scene.grid.cells, scene.images, scene.shifts, strict=True):
        top, left = CELL * (row + 1) + down, CELL * (column + 1) + across
        patch = page[top : top + _DIGIT, left : left + _DIGIT]
        cover = ink[image][..., None]
        patch += cover * (np.asarray(_INK, np.float32) - patch)
    return page.round().astype(np.uint8)


def photograph(scene: Scene, canvas: int) -> Image.Image:
    """Return the painted scene as an RGB image."""
    return Image.fromarray(paint(scene, canvas))
