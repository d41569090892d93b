"""Which trees share one forward pass: packs under a token budget, and trees too big for it taken apart.

A tree is taken apart between its branches, each part with the whole trunk; and a branch too long with its twigs
between these, each part with the whole branch. Attention never crosses these cuts, so nothing about the result
changes but how often the trunk is encoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vapo.core.tree import Tree, Twig


@dataclass(frozen=True, slots=True)
class Part:
    """Some branches of a tree with some of their twigs.

    Attributes:
        tree: number of the tree the part is taken from.
        branches: numbers of its branches there.
        twigs: numbers of its twigs there.
        shape: the part as a tree of its own.
    """

    tree: int
    branches: tuple[int, ...]
    twigs: tuple[int, ...]
    shape: Tree


def pack_trees(trees: Sequence[Tree], max_tokens: int, *, one_tree: bool = False) -> list[list[Part]]:
    """Return packs of at most `max_tokens` tokens that together hold every branch and every twig.

    A branch that is longer than the budget with its prompt alone gets a pack of its own. Trees keep their order.

    Args:
        trees: any number.
        max_tokens: budget of a pack, at least 1.
        one_tree: never put parts of two trees into one pack.

    Raises:
        ValueError: the budget is below 1.
    """
    if max_tokens < 1:
        raise ValueError(f"max_tokens is {max_tokens}; it must be at least 1")
    packs: list[list[Part]] = []
    room = 0
    for number, tree in enumerate(trees):
        for part in _take_apart(number, tree, max_tokens):
            if not packs or part.shape.num_tokens > room or (one_tree and packs[-1][-1].tree != number):
                packs.append([])
                room = max_tokens
            packs[-1].append(part)
            room -= part.shape.num_tokens
    return packs


def _take_apart(number: int, tree: Tree, max_tokens: int) -> Iterator[Part]:
    whole = _make_part(number, tree, range(len(tree.branches)), range(len(tree.twigs)))
    if whole.shape.num_tokens <= max_tokens:
        yield whole
        return
    twigs_of: list[list[int]] = [[] for _ in tree.branches]
    for twig_number, twig in enumerate(tree.twigs):
        twigs_of[twig.branch].append(twig_number)
    branches: list[int] = []
    twigs: list[int] = []
    for branch in range(len(tree.branches)):
        own = _make_part(number, tree, [branch], twigs_of[branch])
        together = _make_part(number, tree, [*branches, branch], [*twigs, *twigs_of[branch]])
        if branches and together.shape.num_tokens > max_tokens:
            yield _make_part(number, tree, branches, twigs)
            branches, twigs = [], []
        if own.shape.num_tokens > max_tokens:
            yield from _split_twigs(number, tree, branch, twigs_of[branch], max_tokens)
        else:
            branches.append(branch)
            twigs += twigs_of[branch]
    if branches:
        yield _make_part(number, tree, branches, twigs)


def _split_twigs(number: int, tree: Tree, branch: int, twigs: Sequence[int], max_tokens: int) -> Iterator[Part]:
    chosen: list[int] = []
    for twig in twigs:
        if chosen and _make_part(number, tree, [branch], [*chosen, twig]).shape.num_tokens > max_tokens:
            yield _make_part(number, tree, [branch], chosen)
            chosen = []
        chosen.append(twig)
    yield _make_part(number, tree, [branch], chosen)


def _make_part(number: int, tree: Tree, branches: Sequence[int], twigs: Sequence[int]) -> Part:
    place = {branch: new for new, branch in enumerate(branches)}
    shape = Tree(
        tree.prompt,
        tuple(tree.branches[branch] for branch in branches),
        tuple(Twig(place[tree.twigs[t].branch], tree.twigs[t].anchor, tree.twigs[t].length) for t in twigs),
    )
    return Part(number, tuple(branches), tuple(twigs), shape)
