"""Attention over trees against its definition: softmax over the tokens that a token sees, one dense matrix."""

from __future__ import annotations

import pytest
import torch
from core.random_trees import trees
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import build_tiny
from torch.nn.attention.flex_attention import flex_attention

from vapo.core.tree import Tree, Twig, lay_out
from vapo.errors import ModelError
from vapo.models.tree import block_attention
from vapo.models.tree.attention import TREE_ATTENTION, attend_to_tree, tree_attention
from vapo.models.tree.block_attention import BlockAttention
from vapo.models.tree.flex import TILE, attend_with_flex, make_block_mask
from vapo.models.tree.mask import TreeMask

CPU = torch.device("cpu")
LONG = Tree(150, (140, 90, 0), (Twig(0, 140, 9), Twig(0, 3, 12), Twig(0, 3, 5), Twig(1, 90, 20), Twig(2, 0, 4)))


def sees(layout) -> torch.Tensor:
    entry, exit = torch.from_numpy(layout.entry), torch.from_numpy(layout.exit)
    return (entry[None] <= entry[:, None]) & (entry[:, None] < exit[None])


def dense(query, key, value, seen, scale, sinks=None):
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = (query @ key.mT * scale).masked_fill(~seen, -torch.inf)
    if sinks is not None:
        scores = torch.cat([scores, sinks[None, :, None, None].expand(*scores.shape[:-1], 1)], dim=-1)
    return scores.softmax(-1)[..., : seen.shape[-1]] @ value


def draw_states(num_tokens, heads=4, key_heads=2, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)

    def draw(count):
        states = torch.randn(1, num_tokens, count, 16, generator=generator).to(dtype).transpose(1, 2)
        return states.requires_grad_()

    return draw(heads), draw(key_heads), draw(key_heads)


def assert_equals_dense(mask: TreeMask, seen: torch.Tensor, tolerance: float = 1e-5, sinks=()) -> None:
    states = (*draw_states(mask.layout.num_tokens), *sinks)
    weights = torch.randn(1, 4, mask.layout.num_tokens, 16, generator=torch.Generator().manual_seed(1))
    expected = dense(*states[:3], seen, 0.3, *sinks)
    expected_grads = torch.autograd.grad((expected * weights).sum(), states)
    output = BlockAttention.apply(*states[:3], mask, 0.3, *sinks)
    grads = torch.autograd.grad((output * weights).sum(), states)
    torch.testing.assert_close(output, expected, atol=tolerance, rtol=tolerance)
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(grad, expected_grad, atol=10 * tolerance, rtol=10 * tolerance)


@pytest.fixture(params=["flash", "plain"])
def kernel(request, monkeypatch):
    if request.param == "plain":
        monkeypatch.setattr(block_attention, "FLASH_DTYPES", ())
    return request.param


@pytest.mark.parametrize("window", [None, 1, 7, 100, 1000])
def test_blocks_equal_one_dense_matrix(kernel, window):
    layout = lay_out([LONG, Tree(5, (3,), (Twig(0, 2, 2),))])
    depth = torch.from_numpy(layout.depth)
    seen = sees(layout)
    if window is not None:
        seen &= depth[:, None] - depth[None] < window
    assert_equals_dense(TreeMask(layout, CPU, window), seen)


@settings(max_examples=30, deadline=None)
@given(st.lists(trees(), min_size=1, max_size=3), st.sampled_from([None, 1, 2, 4]))
def test_random_trees_equal_one_dense_matrix(forest, window):
    layout = lay_out(forest)
    depth = torch.from_numpy(layout.depth)
    seen = sees(layout)
    if window is not None:
        seen &= depth[:, None] - depth[None] < window
    assert_equals_dense(TreeMask(layout, CPU, window), seen)


def test_a_trunk_may_have_a_pattern_of_its_own(kernel):
    layout = lay_out([Tree(2, (1,)), Tree(6, (3, 2), (Twig(0, 2, 2),))])
    seen = sees(layout)
    own = seen[3:9, 3:9].clone()
    own[1:4, 1:4] = True  # the tokens of an image see each other both ways
    seen[3:9, 3:9] = own
    assert_equals_dense(TreeMask(layout, CPU, trunk_masks={3: own}), seen)


@pytest.mark.parametrize("window", [None, 7])
def test_sinks_take_their_share_of_the_weights(kernel, window):
    layout = lay_out([LONG, Tree(5, (3,), (Twig(0, 2, 2),))])
    depth = torch.from_numpy(layout.depth)
    seen = sees(layout)
    if window is not None:
        seen &= depth[:, None] - depth[None] < window
    sinks = torch.tensor([-30.0, 0.0, 2.0, 30.0], requires_grad=True)  # of no weight, of much, of nearly all
    assert_equals_dense(TreeMask(layout, CPU, window), seen, sinks=(sinks,))


@pytest.mark.parametrize("width", [8, 24])
def test_values_may_be_narrower_or_wider_than_queries(width):
    layout = lay_out([LONG])
    query, key, _ = draw_states(layout.num_tokens)
    value = torch.randn(1, 2, layout.num_tokens, width, generator=torch.Generator().manual_seed(2))
    output, _ = attend_to_tree(torch.nn.Identity(), query, key, value, TreeMask(layout, CPU))
    expected = dense(query, key, value, sees(layout), 0.25).transpose(1, 2)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)


def test_bfloat16_stays_close():
    layout = lay_out([LONG])
    states = draw_states(layout.num_tokens, dtype=torch.bfloat16)
    output = BlockAttention.apply(*states, TreeMask(layout, CPU), 0.3)
    expected = dense(*(x.float() for x in states), sees(layout), 0.3)
    assert output.dtype == torch.bfloat16
    assert (output.float() - expected).abs().max() < 0.03


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")  # compiling takes a GPU
@pytest.mark.parametrize("window", [None, 50])
def test_flex_attention_equals_blocks(window):
    # Interpreted here, compiled on CUDA: the same block mask and the same rule for single pairs.
    layout = lay_out([LONG, Tree(300, (200,), (Twig(0, 100, 20),))])
    mask = TreeMask(layout, CPU, window)
    states = [x.detach() for x in draw_states(layout.num_tokens)]
    blocks = BlockAttention.apply(*states, mask, 0.3)
    torch.testing.assert_close(
        attend_with_flex(*states, mask, 0.3, attend=flex_attention), blocks, atol=1e-5, rtol=1e-5
    )


def test_block_mask_leaves_out_what_nobody_sees_and_checks_what_some_see():
    layout = lay_out([Tree(2 * TILE, (TILE, TILE))])
    tiles = make_block_mask(TreeMask(layout, CPU)).to_dense()[0, 0, :4, :4]
    assert tiles.tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 0, 1]]
    whole = make_block_mask(TreeMask(layout, CPU)).full_kv_num_blocks[0, 0, :4]
    assert whole.tolist() == [0, 1, 2, 2]


class TestSwitch:
    def test_the_model_is_left_as_it_was(self):
        model, _ = build_tiny("llava")
        config = model.model.language_model.config
        before = config._attn_implementation
        with pytest.raises(RuntimeError, match="on purpose"), tree_attention(model, lay_out([Tree(3)])):
            assert config._attn_implementation == TREE_ATTENTION
            raise RuntimeError("on purpose")
        assert config._attn_implementation == before

    def test_nothing_but_the_row_laid_out_can_be_read(self):
        model, _ = build_tiny("llava")
        ids = torch.ones(1, 4, dtype=torch.long)
        with tree_attention(model, lay_out([Tree(3)])), pytest.raises(ModelError, match="one row of tokens"):
            model(input_ids=ids, attention_mask=torch.ones_like(ids))

    @pytest.mark.parametrize(
        ("options", "problem"),
        [
            ({"dropout": 0.1}, "at random"),
            ({"softcap": 30.0}, "caps its scores"),
            ({"sliding_window": 2}, "slides over 2"),
        ],
    )
    def test_a_layer_that_cannot_be_packed_is_refused_by_name(self, options, problem):
        layout = lay_out([Tree(5)])
        with pytest.raises(ModelError, match=f"Linear.*{problem}"):
            attend_to_tree(torch.nn.Linear(1, 1), *draw_states(5), TreeMask(layout, CPU), **options)
