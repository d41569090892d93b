from __future__ import annotations

import pytest
import torch
from tiny_models import build_tiny

from vapo.diagnosis.fingerprint import fingerprint_weights


def test_same_weights_same_fingerprint():
    first, second, other = (build_tiny("llava", seed)[0] for seed in (0, 0, 1))
    assert fingerprint_weights(first) == fingerprint_weights(second) != fingerprint_weights(other)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.bool, torch.int64])
def test_one_bit_matters(dtype):
    module = torch.nn.Module()
    module.register_buffer("weights", torch.ones(3, 4).T.to(dtype))
    before = fingerprint_weights(module)
    module.weights[2, 1] = 0
    assert fingerprint_weights(module) != before


def test_an_empty_buffer_and_a_scalar():
    module = torch.nn.Module()
    module.register_buffer("empty", torch.empty(0))
    module.register_buffer("scalar", torch.tensor(2.0))
    assert fingerprint_weights(module) == fingerprint_weights(module)
