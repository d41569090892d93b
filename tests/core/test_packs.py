import pytest
from core.random_trees import trees
from hypothesis import given
from hypothesis import strategies as st

from vapo.core.packs import pack_trees
from vapo.core.tree import Tree, Twig


@given(st.lists(trees(), max_size=4), st.integers(1, 30), st.booleans())
def test_packs_hold_everything_within_the_budget(forest, max_tokens, one_tree):
    packs = pack_trees(forest, max_tokens, one_tree=one_tree)
    branches, twigs = set(), []
    for pack in packs:
        parts = [(part.tree, part.shape) for part in pack]
        too_big = len(parts) == 1 and len(parts[0][1].branches) <= 1 and len(parts[0][1].twigs) <= 1
        assert sum(shape.num_tokens for _, shape in parts) <= max_tokens or too_big
        assert not one_tree or len({number for number, _ in parts}) == 1
        for part in pack:
            tree = forest[part.tree]
            assert part.shape.prompt == tree.prompt
            assert part.shape.branches == tuple(tree.branches[b] for b in part.branches)
            for number, twig in zip(part.twigs, part.shape.twigs, strict=True):
                whole = tree.twigs[number]
                assert (part.branches[twig.branch], twig.anchor, twig.length) == (
                    whole.branch,
                    whole.anchor,
                    whole.length,
                )
            branches |= {(part.tree, b) for b in part.branches}
            twigs += [(part.tree, t) for t in part.twigs]
    assert branches == {(n, b) for n, tree in enumerate(forest) for b in range(len(tree.branches))}
    assert sorted(twigs) == [(n, t) for n, tree in enumerate(forest) for t in range(len(tree.twigs))]


def test_a_tree_too_big_is_taken_apart_between_branches_then_between_twigs():
    tree = Tree(4, (3, 3, 3), (Twig(2, 1, 2), Twig(2, 2, 2), Twig(2, 3, 2)))
    packs = pack_trees([tree], 11)
    assert [[(part.branches, part.twigs) for part in pack] for pack in packs] == [
        [((0, 1), ())],
        [((2,), (0, 1))],
        [((2,), (2,))],
    ]


def test_small_trees_share_a_pack():
    assert len(pack_trees([Tree(2, (2,))] * 4, 8)) == 2


def test_refuses_a_budget_of_nothing():
    with pytest.raises(ValueError, match="at least 1"):
        pack_trees([], 0)
