"""The layout against its definition, on trees worked by hand and on random ones."""

import itertools

import numpy as np
import pytest
from core.random_trees import trees
from hypothesis import given
from hypothesis import strategies as st

from vapo.core.tree import Layout, Tree, Twig, lay_out

forests = st.lists(trees(), min_size=1, max_size=3)


def paths(layout: Layout) -> list[list[int]]:
    """The definition: a token sees itself and every token that its response of parents leads to."""
    found = []
    for row in range(layout.num_tokens):
        path = [row]
        while layout.parent[path[-1]] >= 0:
            path.append(int(layout.parent[path[-1]]))
        found.append(path)
    return found


def visible(layout: Layout) -> np.ndarray:
    matrix = np.zeros((layout.num_tokens, layout.num_tokens), dtype=int)
    for row, path in enumerate(paths(layout)):
        matrix[row, path] = 1
    return matrix


def test_a_tree_worked_by_hand():
    # rows: trunk 0 1, branch "ab" 2 3, its twigs: behind a 4, behind b 5 6, branch "c" 7
    layout = lay_out([Tree(2, (2, 1), (Twig(0, 2, 2), Twig(0, 1, 1)))])
    assert layout.parent.tolist() == [-1, 0, 1, 2, 2, 3, 5, 1]
    assert layout.depth.tolist() == [0, 1, 2, 3, 3, 4, 5, 2]
    # walk: trunk, trunk, a, its twig, b, its twig, twig, c
    assert layout.entry.tolist() == [0, 1, 2, 4, 3, 5, 6, 7]
    assert layout.exit.tolist() == [8, 8, 7, 7, 4, 7, 7, 8]
    assert layout.twigs == ((range(5, 7), range(4, 5)),)
    assert layout.prediction_rows(0, 0).tolist() == [1, 2]
    assert layout.prediction_rows(0, 1).tolist() == [1]
    assert layout.answer_rows(0).tolist() == [6, 4]


@given(forests)
def test_times_tell_ancestors(forest):
    layout = lay_out(forest)
    seen = visible(layout)
    for query, key in itertools.product(range(layout.num_tokens), repeat=2):
        assert layout.sees(query, key) == bool(seen[query, key])


@given(forests)
def test_blocks_cover_every_visible_pair_once(forest):
    layout = lay_out(forest)
    covered = np.zeros((layout.num_tokens, layout.num_tokens), dtype=int)
    for block in layout.blocks:
        shape = np.ones((len(block.queries), len(block.keys)), dtype=int)
        rows = slice(block.queries.start, block.queries.stop), slice(block.keys.start, block.keys.stop)
        covered[rows] += np.tril(shape) if block.causal else shape
        assert not block.causal or block.queries == block.keys
    assert (covered == visible(layout)).all()


@given(forests)
def test_every_path_reads_like_a_sequence_of_its_own(forest):
    layout = lay_out(forest)
    for row, path in enumerate(paths(layout)):
        assert layout.depth[row] == len(path) - 1
    for number, tree in enumerate(forest):
        trunk = list(layout.trunks[number])
        assert len(trunk) == tree.prompt
        for branch, length in enumerate(tree.branches):
            rows = list(layout.branches[number][branch])
            assert len(rows) == length
            if rows:
                assert paths(layout)[rows[-1]][::-1] == trunk + rows
                assert layout.prediction_rows(number, branch).tolist() == [trunk[-1], *rows[:-1]]
        for twig, rows in zip(tree.twigs, layout.twigs[number], strict=True):
            host = list(layout.branches[number][twig.branch])[: twig.anchor]
            assert paths(layout)[rows[-1]][::-1] == trunk + host + list(rows)


@given(forests)
def test_times_are_a_walk(forest):
    layout = lay_out(forest)
    assert sorted(layout.entry.tolist()) == list(range(layout.num_tokens))
    assert (layout.exit - layout.entry == visible(layout).sum(0)).all()


@pytest.mark.parametrize(
    ("prompt", "branches", "twigs", "problem"),
    [
        (0, (1,), (), "at least 1"),
        (1, (-1,), (), "negative"),
        (1, (2,), (Twig(0, 3, 1),), "behind 3 tokens of a completion that has 2"),
        (1, (2,), (Twig(1, 0, 1),), "branch 1 of 1"),
        (1, (2,), (Twig(0, -1, 1),), "behind -1"),
        (1, (2,), (Twig(0, 1, 0),), "0 tokens"),
    ],
)
def test_refuses_what_is_no_tree(prompt, branches, twigs, problem):
    with pytest.raises(ValueError, match=problem):
        Tree(prompt, branches, twigs)


def test_refuses_no_tree_at_all():
    with pytest.raises(ValueError, match="no tree"):
        lay_out([])
