"""The compiled kernel on a GPU; its block mask and rule are tested on the CPU in test_tree_attention.py."""

from __future__ import annotations

import pytest
import torch
from prober_contract import make_probes, make_rollout, make_sample
from tiny_models import build_tiny

from vapo.core.tree import Tree, Twig, lay_out
from vapo.models.tree.block_attention import BlockAttention
from vapo.models.tree.flex import attend_with_flex
from vapo.models.tree.mask import TreeMask
from vapo.probing.packed_prober import PackedProber
from vapo.probing.reference import ReferenceProber

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")]


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
    for flex, blocks in zip(*results, strict=True):
        torch.testing.assert_close(flex, blocks, atol=tolerance, rtol=tolerance)


def test_packed_verdicts_equal_rows():
    model, processor = build_tiny("llava")
    model.cuda()
    probes = make_probes([make_rollout(processor, make_sample("a"), "I see a 3, then a 5.")])
    packed, rows = (prober(model, processor).score(probes) for prober in (PackedProber, ReferenceProber))
    for own, other in zip(packed, rows, strict=True):
        assert own.p_true == pytest.approx(other.p_true, abs=1e-4)
