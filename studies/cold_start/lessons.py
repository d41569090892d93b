"""What the cold start learns from: one image, and everything said about it, as one tree.

The image is the trunk. Questions with their responses are branches, probes are twigs on the branches. Every path from
the root is, token for token, what the model sees when it is used: one user turn, one answer, perhaps cut off by a
probe. Sharing the trunk and the branches only saves computing them again for each path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

Target = tuple[int, int, float]
"""Index of a token in its branch, group of the loss it belongs to, weight."""

SAYING, JUDGING, TELLING = 0, 1, 2
"""Groups of the loss: words of a completion, verdicts on claims, words of right claims."""


@dataclass(slots=True)
class Branch:
    """Some tokens that grow on another branch after `kept` of its tokens; `parent` is None for the trunk.

    A branch out of reach stands as far from its parent as if more tokens lay between them than a window has: it sees
    itself alone, and what grows on it sees it.
    """

    ids: list[int]
    parent: int | None
    kept: int
    targets: list[Target] = field(default_factory=list)
    out_of_reach: bool = False


@dataclass(slots=True)
class Lesson:
    """A tree about one image: `pixels` uint8 [canvas, canvas, 3] and branches, parents before children."""

    pixels: np.ndarray
    branches: list[Branch]

    @property
    def length(self) -> int:
        """Number of tokens."""
        return sum(len(branch.ids) for branch in self.branches)


@dataclass(slots=True)
class Batch:
    """Lessons side by side: B trees padded to L tokens, and N words to be predicted, each from one place.

    `allowed[B, 1, L, L]` says which token sees which; `source[N]` indexes the flattened B * L states.
    """

    pixels: np.ndarray
    ids: np.ndarray
    positions: np.ndarray
    allowed: np.ndarray
    source: np.ndarray
    wanted: np.ndarray
    group: np.ndarray
    weight: np.ndarray


def pack_lessons(lessons: Sequence[Lesson], *, pad_id: int, window: int | None = None) -> Batch:
    """Lay trees out as rows: a token sees the tokens before it on its own path to the root, and nothing else.

    With `window`, it sees itself and the `window` - 1 tokens before it on that path, as a layer with a sliding window
    does. A branch's positions go on from the token it grows on. Raises ValueError if the trunk itself has targets at
    index 0, which nothing comes before.
    """
    rows, length = len(lessons), max(lesson.length for lesson in lessons)
    ids = np.full((rows, length), pad_id, np.int64)
    positions = np.zeros((rows, length), np.int64)
    allowed = np.zeros((rows, 1, length, length), bool)
    allowed[:, 0, np.arange(length), np.arange(length)] = True
    found: list[tuple[int, int, int, float]] = []
    for row, lesson in enumerate(lessons):
        starts: list[int] = []
        start = 0
        for branch in lesson.branches:
            end = start + len(branch.ids)
            ids[row, start:end] = branch.ids
            allowed[row, 0, start:end, start:end] = np.tri(end - start, dtype=bool)
            before, first = -1, 0
            if branch.parent is not None:
                before = starts[branch.parent] + branch.kept - 1
                first = positions[row, before] + 1
                if not branch.out_of_reach:
                    allowed[row, 0, start:end] |= allowed[row, 0, before]
            positions[row, start:end] = np.arange(first, first + end - start)
            for index, group, weight in branch.targets:
                source = start + index - 1 if index else before
                if source < 0:
                    raise ValueError("the first token of a trunk cannot be predicted")
                found.append((row * length + source, branch.ids[index], group, weight))
            starts.append(start)
            start = end
    if window is not None:  # positions count along a path, so their distance is that of the tokens on it
        allowed &= (positions[:, :, None] - positions[:, None, :] < window)[:, None]
    source, wanted, group, weight = zip(*found, strict=True)
    return Batch(
        np.stack([lesson.pixels for lesson in lessons]),
        ids,
        positions,
        allowed,
        np.asarray(source),
        np.asarray(wanted),
        np.asarray(group),
        np.asarray(weight, np.float32),
    )
