"""First lesson of all: the vision tower learns to tell digits apart and to know its rows and columns.

As the towers of large models come trained before a language model is joined to them, so does the lab's. What a patch
shows (its digit, its cell, its row, its column) is read off with the text model's own word vectors, so that what the
tower sees is written in the language it will be read in.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from vapo.lab.cell_names import MAX_LINES, cell_name, column_mark, row_mark
from vapo.lab.world import CELL, Scene, draw_scene, paint

from .model import LabModel, LabTokenizer

_SHARPNESS = 4.0


def scale_pixels(pixels: np.ndarray, device: torch.device | None = None) -> torch.Tensor:
    """Turn uint8 [B, H, W, 3] into the float32 [B, 3, H, W] in -1..1 that the lab's processor makes of an image."""
    scaled = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float() / 255
    return (scaled - 0.5) / 0.5


def see_images(model: LabModel, pixels: torch.Tensor) -> torch.Tensor:
    """Return the projected image tokens [B, patches, width] of pixels [B, 3, H, W]."""
    return torch.stack(list(model.get_image_features(pixels).pooler_output))


def label_patches(scene: Scene, canvas: int) -> np.ndarray:
    """Return [patches, 4]: digit, cell, row and column each patch shows; -100 for marks and blank paper."""
    side = canvas // CELL
    labels = np.full((side, side, 4), -100, np.int64)
    for row, column in scene.grid.cells:
        labels[row + 1, column + 1] = scene.grid.digits[row][column], row * MAX_LINES + column, row, column
    return labels.reshape(-1, 4)


def list_words(tokenizer: LabTokenizer) -> list[list[int]]:
    """Return the tokens that name what `label_patches` numbers: digits, cells, rows, columns."""
    lines = range(MAX_LINES)
    named = (
        list("0123456789"),
        [f" {cell_name(row, column)}" for row in lines for column in lines],
        [f" {row_mark(row)}" for row in lines],
        [f" {column_mark(column)}" for column in lines],
    )
    return [[tokenizer.encode(word)[0] for word in words] for words in named]


def teach_vision(
    model: LabModel,
    tokenizer: LabTokenizer,
    *,
    canvas: int,
    grids: tuple[tuple[int, int], ...],
    seed: int,
    steps: int,
    images: int = 64,
    learning_rate: float = 2e-3,
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Train the vision tower and the projector in place for `steps` steps of `images` images each.

    `report(step, loss)` is called after each step. All randomness comes from `seed`.
    """
    vectors = model.get_output_embeddings().weight.detach()
    vocabularies = [vectors[words] for words in list_words(tokenizer)]
    taught = [*model.model.vision_tower.parameters(), *model.model.multi_modal_projector.parameters()]
    optimizer = torch.optim.AdamW(taught, lr=learning_rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps, pct_start=0.1)
    model.train()
    for step in range(steps):
        rng = np.random.default_rng([seed, 2, step])
        scenes = [draw_scene(rng, *grids[rng.integers(len(grids))], "practice") for _ in range(images)]
        pixels = np.stack([paint(scene, canvas) for scene in scenes])
        labels = torch.from_numpy(np.concatenate([label_patches(scene, canvas) for scene in scenes])).to(model.device)
        seen = see_images(model, scale_pixels(pixels, model.device)).flatten(0, 1)
        loss = seen.new_zeros(())
        for kind, words in enumerate(vocabularies):
            loss = loss + functional.cross_entropy(_SHARPNESS * seen @ words.T, labels[:, kind])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(taught, 1.0)
        optimizer.step()
        schedule.step()
        report(step + 1, float(loss.detach()))
