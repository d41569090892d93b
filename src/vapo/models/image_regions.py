"""Where in an image each of its tokens looks: found by showing pictures to the family's own processor.

Four pictures of the image's size are processed: black, white, and a ramp along each axis. A value v of the ramp's
tensor, between those of black (b) and white (w) at the same place, tells which pixel it came from: (v - b) / (w - b)
of the image's width or height. So resizing, cropping, padding and tiling are all read off. What does not differ
between black and white is padding.

Within a tile (or a picture cut into patches) tokens lie in rows and columns; their centres are the affine map of these
that fits the tensors. Where they do not fit, or the inputs say something else about the picture, there is no map.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from vapo.errors import ModelError
from vapo.models.images import apply_chat_template, take_image_inputs
from vapo.models.prompt_tokens import list_token_inputs

GRID = "image_grid_thw"
READABLE = {"pixel_values", GRID, "pixel_attention_mask", "image_sizes"}
MOST_OFF = 1 / 64
"""How far a token may lie from its place in the rows and columns, as a share of the image."""
LEAST_SHOWN = 0.5  # of a tile: less is padding


@dataclass(frozen=True, slots=True)
class ImageRegions:
    """What the n tokens of one image show.

    Attributes:
        boxes: left, top, right, bottom, as shares of the image's sides; may reach beyond it. Shape (n, 4).
    """

    boxes: NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the finest tokens that the image has room for."""
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        width, height = sides[sides.prod(1).argmin()]
        return max(1, round(1 / height)), max(1, round(1 / width))

    def spread(self, masses: NDArray[np.float64]) -> NDArray[np.float64]:
        """Lay each token's mass evenly over the part of the image that it shows.

        A token that shows nothing of the image (padding alone) is laid on its nearest cell, so that sums are kept.

        Args:
            masses: shape (..., n).

        Returns:
            Shape (..., rows, columns), with the sums of `masses`.
        """
        rows, columns = self.shape
        across = _overlap(self.boxes[:, 0], self.boxes[:, 2], columns)
        down = _overlap(self.boxes[:, 1], self.boxes[:, 3], rows)
        return np.einsum("...n,nr,nc->...rc", masses, down, across)


def _overlap(low: NDArray[np.float64], high: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return which share of each stretch lies in each of `count` equal cells of [0, 1]; rows sum to 1."""
    edges = np.linspace(0, 1, count + 1)
    shared = np.minimum(high[:, None], edges[1:]) - np.maximum(low[:, None], edges[:-1])
    shared = np.maximum(shared, 0.0)
    outside = shared.sum(1) < 1e-9
    nearest = np.clip(((low + high) / 2 * count).astype(int), 0, count - 1)
    shared[outside, nearest[outside]] = 1.0
    return shared / shared.sum(1, keepdims=True)


def find_regions(processor: Any, image_token_id: int, size: tuple[int, int]) -> ImageRegions:
    """Return what each token of an image of a size shows, when the image is alone in its prompt.

    Args:
        processor: the family's.
        image_token_id: of the tokens whose places image features take.
        size: width and height, in pixels.

    Raises:
        ModelError: the processor does not lay tokens out in rows and columns that can be read.
    """
    name = type(processor).__name__
    shown = [_process(processor, picture) for picture in _draw(size)]
    encoded, inputs = shown[0]
    unknown = sorted(set(inputs) - READABLE)
    if unknown or "pixel_values" not in inputs:
        what = f"also makes {unknown[0]}" if unknown else "makes no pixel_values"
        raise ModelError(_refuse(name, what))
    num_tokens = int((torch.as_tensor(encoded["input_ids"]) == image_token_id).sum())
    black, white, ramp_x, ramp_y = (one["pixel_values"].double().numpy() for _, one in shown)
    if num_tokens == 0 or any(ramp.shape != black.shape for ramp in (white, ramp_x, ramp_y)):
        raise ModelError(_refuse(name, "makes other tensors of other pictures"))
    contrast = white - black
    real = np.abs(contrast) > 1e-3 * np.abs(contrast).max()
    with np.errstate(divide="ignore", invalid="ignore"):
        xs, ys = (np.where(real, (ramp - black) / contrast, np.nan) for ramp in (ramp_x, ramp_y))
    if GRID in inputs:
        return ImageRegions(_read_patches(name, xs, ys, inputs[GRID], num_tokens))
    if black.ndim not in (4, 5) or (black.ndim == 5 and len(black) > 1):
        raise ModelError(_refuse(name, f"makes pixel_values of {black.ndim} axes"))
    tiles_x, tiles_y = (axis.reshape(-1, *axis.shape[-3:]) for axis in (xs, ys))
    if "image_sizes" in inputs and len(tiles_x) > 1:
        raise ModelError(_refuse(name, "cuts tiles by image_sizes"))
    return ImageRegions(_read_tiles(name, tiles_x, tiles_y, num_tokens))


def _refuse(name: str, what: str) -> str:
    return (
        f"{name} {what}, so it is not known which part of an image a token shows; leave out where the model looks, or "
        "use a model whose image tokens lie in rows and columns"
    )


def _draw(size: tuple[int, int]) -> list[Image.Image]:
    width, height = size
    across = np.broadcast_to((np.arange(width) + 0.5) / width, (height, width))
    down = np.broadcast_to(((np.arange(height) + 0.5) / height)[:, None], (height, width))
    planes = (np.zeros((height, width)), np.ones((height, width)), across, down)
    return [Image.fromarray(np.rint(255 * plane).astype(np.uint8)).convert("RGB") for plane in planes]


def _process(processor: Any, picture: Image.Image) -> tuple[Mapping[str, Any], Mapping[str, torch.Tensor]]:
    content = [{"type": "image", "image": picture}, {"type": "text", "text": "?"}]
    encoded = apply_chat_template(processor, [{"role": "user", "content": content}])
    return encoded, take_image_inputs(encoded, list_token_inputs(encoded, processor)).tensors


def _read_patches(
    name: str, xs: NDArray[np.float64], ys: NDArray[np.float64], grid: torch.Tensor, num_tokens: int
) -> NDArray[np.float64]:
    """Read patches that lie one behind the other, those of a token together."""
    if grid.shape != (1, 3) or xs.ndim != 2 or int(grid[0, 0]) != 1 or len(xs) % num_tokens:
        raise ModelError(_refuse(name, f"cuts {len(xs)} patches into {num_tokens} tokens"))
    merged = math.sqrt(len(xs) / num_tokens)
    rows, columns = (int(side) / merged for side in grid[0, 1:])
    if rows % 1 or columns % 1:
        raise ModelError(_refuse(name, f"merges {len(xs)} patches into {num_tokens} tokens"))
    centre_x, centre_y = (axis.reshape(num_tokens, -1).mean(1) for axis in (xs, ys))
    return _fit(name, centre_x, centre_y, int(rows), int(columns))


def _read_tiles(name: str, xs: NDArray[np.float64], ys: NDArray[np.float64], num_tokens: int) -> NDArray[np.float64]:
    """Read tiles of shape (tiles, channels, height, width), whose tokens come tile by tile and row by row."""
    height, width = xs.shape[-2:]
    side = math.sqrt(len(xs) * height * width / num_tokens)
    rows, columns = round(height / side), round(width / side)
    if rows * columns * len(xs) != num_tokens:
        raise ModelError(_refuse(name, f"makes {num_tokens} tokens of {len(xs)} tiles of {height} x {width} pixels"))
    found: list[NDArray[np.float64]] = []
    for tile_x, tile_y in zip(xs, ys, strict=True):
        if np.isfinite(tile_x).mean() < LEAST_SHOWN:
            raise ModelError(_refuse(name, "pads an image by more than half of a tile"))
        centre_x = np.array([_mean(tile_x[..., low:high]) for low, high in _split(width, columns)])
        centre_y = np.array([_mean(tile_y[:, low:high]) for low, high in _split(height, rows)])
        found.append(_fit(name, np.tile(centre_x, rows), np.repeat(centre_y, columns), rows, columns))
    return np.concatenate(found)


def _split(side: int, count: int) -> list[tuple[int, int]]:
    """Return `count` stretches of a side, from and to."""
    return [(number * side // count, (number + 1) * side // count) for number in range(count)]


def _mean(values: NDArray[np.float64]) -> float:
    """Return the mean of what is no padding; nan if half of it is."""
    real = values[np.isfinite(values)]
    return float(real.mean()) if 2 * real.size > values.size else math.nan


def _fit(name: str, xs: NDArray[np.float64], ys: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float64]:
    """Return the boxes of tokens in rows and columns whose centres are nearest to what was read."""
    numbers = np.arange(rows * columns)
    left, width = _fit_axis(name, xs, numbers % columns, columns)
    top, height = _fit_axis(name, ys, numbers // columns, rows)
    boxes = [left, top, left + width, top + height]
    return np.stack([np.broadcast_to(side, (rows * columns,)) for side in boxes], axis=1)


def _fit_axis(
    name: str, centres: NDArray[np.float64], numbers: NDArray[np.int64], count: int
) -> tuple[NDArray[np.float64], float]:
    """Return where each token begins along an axis, and how long it is."""
    known = np.isfinite(centres)
    if count == 1 and known.all() and np.abs(centres - 0.5).max() < MOST_OFF:
        return np.zeros(len(centres)), 1.0
    if len(set(numbers[known])) < 2:
        raise ModelError(_refuse(name, "shows too little of an image"))
    step, first = np.polyfit(numbers[known], centres[known], 1)
    if step <= 0 or np.abs(step * numbers + first - centres)[known].max() > max(MOST_OFF, step / 8):
        raise ModelError(_refuse(name, "does not order an image's tokens by rows and columns"))
    return step * (numbers - 0.5) + first, float(step)
