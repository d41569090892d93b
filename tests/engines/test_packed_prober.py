from __future__ import annotations

import pytest
from engines.prober_contract import ProberContract
from tiny_models import BUILDERS, NEEDS_TORCHVISION, build_tiny

from vapo.engines.packed_prober import PackedProber

FAMILIES = [
    pytest.param(family, marks=[pytest.mark.torchvision] if family in NEEDS_TORCHVISION else []) for family in BUILDERS
]


@pytest.fixture(scope="module", params=FAMILIES)
def model_and_processor(request):
    return build_tiny(request.param)


@pytest.fixture
def model(model_and_processor):
    return model_and_processor[0]


@pytest.fixture
def processor(model_and_processor):
    return model_and_processor[1]


class TestPackedProber(ProberContract):
    @pytest.fixture(params=[100_000, 150, 1], ids=["one pass", "several", "one question each"])
    def prober(self, model, processor, request):
        return PackedProber(model, processor, max_batch_tokens=request.param)
