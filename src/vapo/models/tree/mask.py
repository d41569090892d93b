"""What a tree looks like to an attention kernel: the rectangles it multiplies, with a mask where one is needed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from vapo.core.tree import Block, Layout
from vapo.models.image_attention import PathMask

LONGEST_IN_BUNDLE = 128


@dataclass(frozen=True, slots=True)
class Square:
    """Segments that each attend to themselves alone: one as it lies, or several short ones side by side.

    Attributes:
        rows: a slice of rows, or the rows of several segments, shape (segments, length), short ones filled up at
            their end with rows that are not `real`.
        real: which of them count; None if all do.
        mask: which pairs are seen, shape (length, length); None stands for the plain causal triangle.
    """

    rows: slice | torch.Tensor
    real: torch.Tensor | None = None
    mask: torch.Tensor | None = None


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Rows that attend to rows before them.

    Attributes:
        queries: the rows that look.
        keys: the rows looked at.
        mask: which pairs are seen, shape (queries, keys); None if all are.
        blind: rows among `queries` that see none of the keys; None if there is no mask.
    """

    queries: slice
    keys: slice
    mask: torch.Tensor | None = None
    blind: torch.Tensor | None = None


class TreeMask(PathMask):
    """The attention pattern of one kind of layer over a layout.

    Args:
        layout: the trees.
        device: where masks are made.
        window: a token sees only keys less than `window` tokens back on its path; None sees all of them.
        trunk_masks: by first row of a trunk, its own pattern where that is not the causal one; (P, P) booleans.
    """

    def __init__(
        self,
        layout: Layout,
        device: torch.device,
        window: int | None = None,
        trunk_masks: Mapping[int, torch.Tensor] | None = None,
    ) -> None:
        self.layout = layout
        self.device = device
        self.window = window
        self.trunk_masks = dict(trunk_masks or {})

    @property
    def fits_flex(self) -> bool:
        """Whether entry and exit times (and a window) say everything about the pattern."""
        return not self.trunk_masks

    @cached_property
    def depth(self) -> torch.Tensor:
        """Position of each token on its path; shape (N,)."""
        return torch.from_numpy(self.layout.depth).to(self.device)

    @cached_property
    def squares(self) -> list[Square]:
        """Every row once, with the rows of its own segment."""
        squares: list[Square] = []
        bundles: dict[int, list[range]] = defaultdict(list)
        for block in self.layout.blocks:
            rows = block.queries
            if not block.causal:
                continue
            if rows.start in self.trunk_masks:
                squares.append(Square(_slice(rows), mask=self.trunk_masks[rows.start]))
            elif len(rows) > LONGEST_IN_BUNDLE:
                squares.append(Square(_slice(rows), mask=self._square_mask(len(rows))))
            else:
                bundles[(len(rows) - 1).bit_length()].append(rows)
        return squares + [self._bundle(segments) for segments in bundles.values()]

    @cached_property
    def rectangles(self) -> list[Rectangle]:
        """What rows see of the segments before their own."""
        blocks = [block for block in self.layout.blocks if not block.causal]
        if self.window is None:
            return [Rectangle(_slice(block.queries), _slice(block.keys)) for block in blocks]
        return [rectangle for block in blocks if (rectangle := self._slide(block, self.window)) is not None]

    @staticmethod
    def window_of(distance: torch.Tensor, window: int | None) -> torch.Tensor:
        """Return whether a key so many tokens back on the path is seen."""
        seen = distance >= 0
        return seen if window is None else seen & (distance < window)

    def _square_mask(self, length: int) -> torch.Tensor | None:
        if self.window is None or length <= self.window:
            return None
        rows = torch.arange(length, device=self.device)
        return self.window_of(rows[:, None] - rows[None, :], self.window)

    def _bundle(self, segments: Sequence[range]) -> Square:
        longest = max(map(len, segments))
        starts = torch.tensor([rows.start for rows in segments], device=self.device)
        lengths = torch.tensor([len(rows) for rows in segments], device=self.device)
        offsets = torch.arange(longest, device=self.device)
        real = offsets < lengths[:, None]
        rows = starts[:, None] + torch.minimum(offsets, lengths[:, None] - 1)
        return Square(rows, None if bool(real.all()) else real, self._square_mask(longest))

    def _slide(self, block: Block, window: int) -> Rectangle | None:
        distance = self.depth[_slice(block.queries), None] - self.depth[None, _slice(block.keys)]
        seen = distance < window  # a key of a rectangle never lies ahead
        if bool(seen.all()):
            return Rectangle(_slice(block.queries), _slice(block.keys))
        keys = torch.nonzero(seen.any(0)).flatten()
        if not len(keys):
            return None
        first = int(keys[0])  # keys go by depth: once in sight, they stay in sight to the end
        seen = seen[:, first:]
        return Rectangle(_slice(block.queries), slice(block.keys.start + first, block.keys.stop), seen, ~seen.any(1))


def _slice(rows: range) -> slice:
    return slice(rows.start, rows.stop)
