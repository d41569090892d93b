"""Anchors: where they may be, how they are drawn."""

from collections import Counter
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from vapo.core.anchors import place_anchors, snap_anchors
from vapo.core.boundaries import find_boundaries
from vapo.core.token_texts import split_into_token_texts
from vapo.types import Anchor

# Boundaries behind tokens 2, 4, 6, ..., 20.
RESPONSE = [text for word in "abcdefghij" for text in (f" {word}{word}", ",")]
PLACEMENTS = ["random", "uniform", "front", "back"]


def indices(*args, seed=0, **kwargs):
    return tuple(anchor.index for anchor in place_anchors(*args, np.random.default_rng(seed), **kwargs))


def test_worked_placements():
    assert indices(RESPONSE, 3, placement="front") == (2, 4, 6)
    assert indices(RESPONSE, 3, placement="back") == (16, 18, 20)
    # Ten boundaries in three runs; middles at ranks floor(10/6), floor(30/6), floor(50/6) = 1, 5, 8.
    assert indices(RESPONSE, 3, placement="uniform") == (4, 12, 18)
    assert indices(RESPONSE, 1, placement="uniform") == (12,)


def test_depth_is_kept_tokens_over_length():
    anchors = place_anchors(RESPONSE, 20, np.random.default_rng(0))
    assert anchors[0] == Anchor(2, 0.1) and anchors[-1] == Anchor(20, 1.0)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_fewer_boundaries_than_anchors(placement):
    assert indices(RESPONSE, 20, placement=placement) == find_boundaries(RESPONSE)
    assert indices(RESPONSE, 0, placement=placement) == ()
    for response in ([], [""], ["no", " boundary"], ["</think>", "x", "."]):
        assert indices(response, 5, placement=placement) == ()


def test_random_draws_every_set_equally_often():
    rng = np.random.default_rng(1)
    response = RESPONSE[:16]
    draws = Counter(tuple(anchor.index for anchor in place_anchors(response, 3, rng)) for _ in range(4000))
    possible = list(combinations(find_boundaries(response), 3))
    assert len(possible) == 56 and set(draws) == set(possible)
    expected = 4000 / len(possible)
    chi_square = sum((draws[chosen] - expected) ** 2 / expected for chosen in possible)
    freedom = len(possible) - 1
    assert chi_square < freedom + 4 * (2 * freedom) ** 0.5  # four standard deviations


relaxed = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])


@relaxed
@given(data=st.data(), placement=st.sampled_from(PLACEMENTS), seed=st.integers(0, 2**32))
def test_properties_on_real_tokens(tok, data, placement, seed):
    words = st.sampled_from(["one", " two", ",", ".", "\n", "3.14", "。", "圆", "🧮", "</think>", "<think>"])
    if data.draw(st.booleans()):
        ids = tok.encode("".join(data.draw(st.lists(words, max_size=60))))
    else:
        ids = data.draw(st.lists(st.integers(0, tok.size - 1), max_size=80))
    token_texts = split_into_token_texts(ids, tok.decode)
    count = data.draw(st.integers(0, 25))
    anchors = place_anchors(token_texts, count, np.random.default_rng(seed), placement=placement)
    boundaries = find_boundaries(token_texts)
    chosen = [anchor.index for anchor in anchors]
    assert set(chosen) <= set(boundaries)
    assert all(0 < anchor.depth == anchor.index / len(ids) <= 1 for anchor in anchors)
    assert all(a < b for a, b in pairwise(chosen))
    assert len(chosen) == min(count, len(boundaries))
    again = place_anchors(token_texts, count, np.random.default_rng(seed), placement=placement)
    assert anchors == again


def test_different_seeds_differ():
    assert len({indices(RESPONSE, 4, seed=seed) for seed in range(20)}) > 10


def test_snap_by_rank():
    # Boundaries 2, 4, ..., 20, ten of them. 0.5 is rank 5 of 10: 12. 0.99 is rank 8 of the nine left: 20. 0.5 is rank
    # 4 of the eight left (2, 4, 6, 8, 10, 14, 16, 18): 10. 0 is the first left: 2.
    assert [anchor.index for anchor in snap_anchors(RESPONSE, [0.5, 0.99, 0.5, 0.0])] == [2, 10, 12, 20]
    assert snap_anchors(["<think>", *RESPONSE, "</think>", "x", "."], [0.0]) == (Anchor(3, 3 / 24),)
    assert snap_anchors(RESPONSE, [1 - 2**-53] * 10) == place_anchors(RESPONSE, 10, np.random.default_rng(0))
    assert snap_anchors(["no", " boundary"], [0.5]) == ()
    assert snap_anchors(RESPONSE, []) == ()


def test_snapped_anchors_repeat_only_where_boundaries_run_out():
    rng = np.random.default_rng(0)
    for _ in range(200):
        assert len({anchor.index for anchor in snap_anchors(RESPONSE, rng.random(8).tolist())}) == 8
        times = Counter(anchor.index for anchor in snap_anchors(RESPONSE[:6], rng.random(8).tolist()))
        assert sorted(times.values()) == [2, 3, 3]


@pytest.mark.parametrize("lengths", [(1,) * 8, (1, 1, 1, 30, 1, 1, 12, 2)])
def test_snapped_anchors_are_distributed_like_random_ones(lengths):
    """Every set is equally likely, whatever the gaps between boundaries: sharing changes the noise alone."""
    rng = np.random.default_rng(2)
    response = [text for length in lengths for text in (*[" word"] * length, ",")]
    draws = Counter(
        tuple(anchor.index for anchor in snap_anchors(response, rng.random(3).tolist())) for _ in range(4000)
    )
    possible = list(combinations(find_boundaries(response), 3))
    assert len(possible) == 56
    found = stats.chisquare([draws[chosen] for chosen in possible])
    assert found.pvalue > 0.001


def test_a_group_is_probed_at_nearly_the_same_relative_ranks():
    rng = np.random.default_rng(3)
    sizes, apart = (20, 45), {True: [], False: []}
    for _ in range(500):
        ranks = rng.random(8).tolist()
        for shared, other in ((True, ranks), (False, rng.random(8).tolist())):
            first, second = (
                np.array([anchor.depth for anchor in snap_anchors([" a", ","] * size, own)])
                for size, own in zip(sizes, (ranks, other), strict=True)
            )
            apart[shared].append(np.abs(first - second).mean())
    assert np.mean(apart[True]) < 0.04 < 0.1 < np.mean(apart[False])


@pytest.mark.parametrize("rank", [1.0, 1.01, -0.5, float("nan")])
def test_snap_refuses_ranks_outside_their_range(rank):
    with pytest.raises(ValueError, match="relative rank 1 is"):
        snap_anchors(RESPONSE, [0.5, rank])


def test_refusals_name_the_remedy():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="num_anchors is -1; it must be 0 or more"):
        place_anchors(RESPONSE, -1, rng)
    with pytest.raises(ValueError, match="choose one of random, uniform, front, back"):
        place_anchors(RESPONSE, 1, rng, placement="middle")  # pyright: ignore[reportArgumentType]
