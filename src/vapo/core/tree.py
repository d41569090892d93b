"""The rollout tree in one row of tokens: which token sees which, and where each answer stands.

A prompt is the trunk, the completions sampled from it are branches, and the questions of probes are twigs hung at
anchors along a branch. Every token is laid down once. A token sees itself and its ancestors and nothing else, so each
path from the root reads like a sequence of its own::

    trunk   branch 0   twigs of branch 0, by anchor   branch 1   twigs of branch 1   next tree ...

Entry and exit times of a walk in depth-first order turn "is an ancestor of" into two comparisons:
token q sees token k iff entry[k] <= entry[q] < exit[k].

Only integers live here. The same layout serves every attention kernel: `blocks` for one that multiplies rectangles,
`entry` and `exit` for one that masks single pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Twig:
    """A question of `length` tokens behind the first `anchor` tokens of a branch."""

    branch: int
    anchor: int
    length: int


@dataclass(frozen=True, slots=True)
class Tree:
    """Lengths, in tokens, of a prompt, of the completions sampled from it, and of the questions hung on them.

    Raises:
        ValueError: the prompt or a twig is empty, a length is negative, or a twig hangs beyond its branch.
    """

    prompt: int
    branches: tuple[int, ...] = ()
    twigs: tuple[Twig, ...] = ()

    def __post_init__(self) -> None:
        if self.prompt < 1:
            raise ValueError(f"a prompt of {self.prompt} tokens has nothing to grow from; it needs at least 1")
        if any(length < 0 for length in self.branches):
            raise ValueError(f"a completion has a negative length: {self.branches}")
        for number, twig in enumerate(self.twigs):
            if not 0 <= twig.branch < len(self.branches):
                raise ValueError(f"twig {number} hangs on branch {twig.branch} of {len(self.branches)}")
            if not 0 <= twig.anchor <= self.branches[twig.branch]:
                raise ValueError(
                    f"twig {number} hangs behind {twig.anchor} tokens of a completion that has "
                    f"{self.branches[twig.branch]}"
                )
            if twig.length < 1:
                raise ValueError(f"twig {number} has {twig.length} tokens; a question has at least 1")

    @property
    def num_tokens(self) -> int:
        """Tokens of the tree, each counted once."""
        return self.prompt + sum(self.branches) + sum(twig.length for twig in self.twigs)


@dataclass(frozen=True, slots=True)
class Block:
    """A rectangle of the attention matrix that is seen whole, or, if `causal`, a square seen up to its diagonal."""

    queries: range
    keys: range
    causal: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """Several trees in one row of N tokens.

    Attributes:
        parent: row of the token before, on the path from the root; -1 at a root. Shape (N,).
        depth: tokens before it on that path, which is its position; shape (N,).
        entry: time a depth-first walk comes to the token; shape (N,).
        exit: time at which it has left the token's last descendant; shape (N,).
        blocks: disjoint rectangles that together are all pairs (q, k) with q seeing k.
        trunks: rows of each tree's prompt.
        branches: rows of each tree's completions, in the order given.
        twigs: rows of each tree's twigs, in the order given.
    """

    parent: Integers
    depth: Integers
    entry: Integers
    exit: Integers
    blocks: tuple[Block, ...]
    trunks: tuple[range, ...]
    branches: tuple[tuple[range, ...], ...]
    twigs: tuple[tuple[range, ...], ...]

    @property
    def num_tokens(self) -> int:
        """N, the tokens of all trees."""
        return len(self.parent)

    def sees(self, query: int, key: int) -> bool:
        """Return whether the token at row `query` attends to the one at row `key`."""
        return bool(self.entry[key] <= self.entry[query] < self.exit[key])

    def prediction_rows(self, tree: int, branch: int) -> Integers:
        """Return, for each token of a completion, the row whose output predicts it; shape (completion length,).

        The first token is predicted by the prompt's last one, every other by the token before it.
        """
        return self.parent[self.branches[tree][branch]]

    def answer_rows(self, tree: int) -> Integers:
        """Return, for each twig of a tree, the row whose output answers its question; shape (num_twigs,)."""
        return np.array([rows[-1] for rows in self.twigs[tree]], dtype=np.int64)


def lay_out(trees: Sequence[Tree]) -> Layout:
    """Lay trees down one behind the other in a single row.

    Args:
        trees: at least one.

    Raises:
        ValueError: there is no tree.
    """
    if not trees:
        raise ValueError("there is no tree to lay out")
    walk = _Walk(sum(tree.num_tokens for tree in trees))
    for tree in trees:
        walk.add(tree)
    return Layout(
        walk.parent,
        walk.depth,
        walk.entry,
        walk.exit,
        tuple(walk.blocks),
        tuple(walk.trunks),
        tuple(walk.branches),
        tuple(walk.twigs),
    )


class _Walk:
    """Fills the arrays of a layout, tree by tree."""

    def __init__(self, num_tokens: int) -> None:
        self.parent, self.depth, self.entry, self.exit = np.zeros((4, num_tokens), dtype=np.int64)
        self.blocks: list[Block] = []
        self.trunks: list[range] = []
        self.branches: list[tuple[range, ...]] = []
        self.twigs: list[tuple[range, ...]] = []
        self._row = 0
        self._time = 0

    def add(self, tree: Tree) -> None:
        start, end_time = self._row, self._time + tree.num_tokens
        trunk = self._lay_segment(tree.prompt, parent=-1, depth=0)
        self._stamp(trunk, self._time + np.arange(tree.prompt), np.full(tree.prompt, end_time))
        self._time += tree.prompt
        self.blocks.append(Block(trunk, trunk, causal=True))
        if tree.num_tokens > tree.prompt:
            self.blocks.append(Block(range(trunk.stop, start + tree.num_tokens), trunk))
        twigs = [range(0)] * len(tree.twigs)
        self.branches.append(
            tuple(self._add_branch(tree, branch, trunk, twigs) for branch in range(len(tree.branches)))
        )
        self.trunks.append(trunk)
        self.twigs.append(tuple(twigs))

    def _add_branch(self, tree: Tree, branch: int, trunk: range, twigs: list[range]) -> range:
        length = tree.branches[branch]
        numbers = [number for number, twig in enumerate(tree.twigs) if twig.branch == branch]
        numbers.sort(key=lambda number: tree.twigs[number].anchor)
        rows = self._lay_segment(length, parent=trunk[-1], depth=tree.prompt)
        if length:
            self.blocks.append(Block(rows, rows, causal=True))
        # On the walk, the twigs behind t tokens of the branch come before its token t.
        hung = np.zeros(length + 1, dtype=np.int64)
        for number in numbers:
            hung[tree.twigs[number].anchor] += tree.twigs[number].length
        ahead = np.cumsum(hung)
        end_time = self._time + length + int(ahead[-1])
        self._stamp(rows, self._time + np.arange(length) + ahead[:-1], np.full(length, end_time))
        twig_time = self._time
        for anchor, group in _runs(numbers, [tree.twigs[number].anchor for number in numbers]):
            first = self._row
            for number in group:
                twig = tree.twigs[number]
                parent = rows[anchor - 1] if anchor else trunk[-1]
                twigs[number] = self._lay_segment(twig.length, parent=parent, depth=tree.prompt + anchor)
                end = twig_time + anchor + twig.length
                self._stamp(twigs[number], end - twig.length + np.arange(twig.length), np.full(twig.length, end))
                self.blocks.append(Block(twigs[number], twigs[number], causal=True))
                twig_time += twig.length
            if anchor:
                self.blocks.append(Block(range(first, self._row), rows[:anchor]))
        self._time = end_time
        return rows

    def _lay_segment(self, length: int, parent: int, depth: int) -> range:
        rows = range(self._row, self._row + length)
        self._row += length
        if length:
            self.parent[rows.start : rows.stop] = np.arange(rows.start, rows.stop) - 1
            self.parent[rows.start] = parent
            self.depth[rows.start : rows.stop] = depth + np.arange(length)
        return rows

    def _stamp(self, rows: range, entry: Integers, exit: Integers) -> None:
        self.entry[rows.start : rows.stop] = entry
        self.exit[rows.start : rows.stop] = exit


def _runs(items: Sequence[int], keys: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    """Yield (key, items) for each run of equal keys."""
    start = 0
    for stop in range(1, len(items) + 1):
        if stop == len(items) or keys[stop] != keys[start]:
            yield keys[start], list(items[start:stop])
            start = stop
