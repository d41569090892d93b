"""Random rollout trees for property tests."""

from hypothesis import strategies as st

from vapo.core.tree import Tree, Twig


@st.composite
def trees(draw):
    branches = draw(st.lists(st.integers(0, 6), max_size=4))
    twigs = []
    if branches:
        for _ in range(draw(st.integers(0, 6))):
            branch = draw(st.integers(0, len(branches) - 1))
            twigs.append(Twig(branch, draw(st.integers(0, branches[branch])), draw(st.integers(1, 3))))
    return Tree(draw(st.integers(1, 5)), tuple(branches), tuple(twigs))
