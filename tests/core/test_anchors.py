"""Anchors: where they may be, how they are drawn."""

from collections import Counter
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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


def test_snap_to_nearest_boundary():
    # Boundaries at 2, 4, ..., 20 of 20 thinking tokens: 0.26 is token 5.2, nearest 6; 0.25 is token 5, a tie, earlier.
    snapped = snap_anchors(RESPONSE, [1.0, 0.26, 0.25, 0.01, 0.25])
    assert [anchor.index for anchor in snapped] == [20, 6, 4, 2, 4]
    # The thinking part is tokens 1..21 of 25 here; depths of anchors are of the whole completion.
    wrapped = ["<think>", *RESPONSE, "</think>", "x", ".", "y"]
    assert snap_anchors(wrapped, [0.5, 1.0]) == (Anchor(11, 11 / 25), Anchor(21, 21 / 25))
    assert snap_anchors(["no", " boundary"], [0.5]) == ()
    assert snap_anchors(RESPONSE, []) == ()


@pytest.mark.parametrize("depth", [0.0, 1.01, -0.5, float("nan")])
def test_snap_refuses_depths_outside_the_part(depth):
    with pytest.raises(ValueError, match="depth 1 is"):
        snap_anchors(RESPONSE, [0.5, depth])


def test_refusals_name_the_remedy():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="num_anchors is -1; it must be 0 or more"):
        place_anchors(RESPONSE, -1, rng)
    with pytest.raises(ValueError, match="choose one of random, uniform, front, back"):
        place_anchors(RESPONSE, 1, rng, placement="middle")  # pyright: ignore[reportArgumentType]
