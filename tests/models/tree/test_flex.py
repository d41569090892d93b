"""FlexAttention as it is compiled: how often, and on a GPU what it gives. Its rule is tested in test_attention.py."""

from __future__ import annotations

import pytest
import torch
from prober_contract import make_probes, make_rollout, make_sample
from tiny_models import build_tiny
from torch._dynamo.exc import FailOnRecompileLimitHit
from torch._dynamo.testing import CompileCounterWithBackend

from vapo.core.tree import Tree, Twig, lay_out
from vapo.models.tree import flex
from vapo.models.tree.block_attention import BlockAttention
from vapo.models.tree.flex import attend_with_flex, compile_flex, find_size_class
from vapo.models.tree.mask import TreeMask
from vapo.probing.packed_prober import PackedProber
from vapo.probing.reference import ReferenceProber

CPU = torch.device("cpu")
KINDS = [(window, gradients) for window in (None, 50) for gradients in (False, True)]


def on_gpu(test):
    return pytest.mark.gpu(pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")(test))


def draw_tree(num_tokens: int, window: int | None):
    """States of a tree of one prompt and two responses, and its mask."""
    layout = lay_out([Tree(num_tokens - 60, (40, 20))])
    generator = torch.Generator().manual_seed(num_tokens)
    states = [torch.randn(1, heads, num_tokens, 16, generator=generator) for heads in (2, 1, 1)]
    return states, TreeMask(layout, CPU, window)


def attend_both_ways(num_tokens: int, window: int | None, attend):
    states, mask = draw_tree(num_tokens, window)
    return attend_with_flex(*states, mask, 0.25, attend), BlockAttention.apply(*states, mask, 0.25)


def test_a_row_is_filled_up_by_at_most_a_quarter():
    classes = {find_size_class(n) for n in range(1, 131_073)}
    assert len(classes) == 24 and all(size % flex.TILE == 0 for size in classes)
    assert all(n <= find_size_class(n) <= max(1024, 1.25 * n) for n in range(1, 131_073))
    assert {find_size_class(size) for size in classes} == classes


def test_no_more_kernels_are_compiled_than_there_are_kinds_of_rows(monkeypatch):
    torch.compiler.reset()
    monkeypatch.setattr(flex, "SMALLEST_SIZE", 256)  # uncompiled, large rows take long
    counter = CompileCounterWithBackend("eager")
    attend = compile_flex(counter)
    sizes = range(70, 870, 20)
    kinds = {(find_size_class(n), window, gradients) for n in sizes for window, gradients in KINDS}
    assert len(sizes) == 40 and len(kinds) > torch._dynamo.config.recompile_limit
    for num_tokens in sizes:
        for window, gradients in KINDS:
            with torch.set_grad_enabled(gradients):  # kernels that give gradients need a GPU
                found, blocks = attend_both_ways(num_tokens, window, attend)
            torch.testing.assert_close(found, blocks, atol=1e-5, rtol=1e-5)
    assert counter.frame_count == len(kinds)


def test_too_many_kernels_are_an_error_and_never_an_uncompiled_call(monkeypatch):
    torch.compiler.reset()
    monkeypatch.setattr(flex, "MAX_KERNELS", 2)
    attend = compile_flex(CompileCounterWithBackend("eager"))
    for num_tokens in (900, 1200):
        attend_both_ways(num_tokens, None, attend)
    with pytest.raises(FailOnRecompileLimitHit):
        attend_both_ways(1500, None, attend)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, where it compiles
@pytest.mark.parametrize("window", [None, 50])
def test_compiled_kernels_equal_blocks_in_more_classes_than_torch_allows_by_itself(window):
    torch.compiler.reset()
    with torch.no_grad():
        for num_tokens in range(900, 11_000, 1000):
            found, blocks = attend_both_ways(num_tokens, window, compile_flex())
            torch.testing.assert_close(found, blocks, atol=1e-6, rtol=1e-5)


@on_gpu
@pytest.mark.parametrize("window", [None, 50])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 3e-2)])
def test_outputs_and_gradients_equal_blocks(window, dtype, tolerance):
    layout = lay_out([Tree(700, (400, 90), (Twig(0, 140, 9), Twig(1, 90, 20))), Tree(300, (200,))])
    generator = torch.Generator("cuda").manual_seed(0)

    def draw(heads):
        shape = (1, heads, layout.num_tokens, 64)
        return torch.randn(shape, generator=generator, device="cuda", dtype=dtype).requires_grad_()

    states = draw(8), draw(2), draw(2)
    mask = TreeMask(layout, torch.device("cuda"), window)
    results = []
    for output in (attend_with_flex(*states, mask, 0.125), BlockAttention.apply(*states, mask, 0.125)):
        results.append((output, *torch.autograd.grad(output.float().square().sum(), states)))
    for found, blocks in zip(*results, strict=True):
        torch.testing.assert_close(found, blocks, atol=tolerance, rtol=tolerance)


@on_gpu
def test_packed_verdicts_equal_rows():
    model, processor = build_tiny("llava")
    model.cuda()
    probes = make_probes([make_rollout(processor, make_sample("a"), "I see a 3, then a 5.")])
    packed, rows = (prober(model, processor).score(probes) for prober in (PackedProber, ReferenceProber))
    for own, other in zip(packed, rows, strict=True):
        assert own.p_true == pytest.approx(other.p_true, abs=1e-4)
