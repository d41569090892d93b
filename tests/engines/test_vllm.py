"""Probes and rollouts on a real vLLM engine, its CPU build: equal to transformers, and out of its prefix cache."""

from __future__ import annotations

import numpy as np
import pytest
from engines.prober_contract import (
    ProberContract,
)
from engines.vllm_world import build_for_vllm, save_for_vllm, start_llm

from vapo.engines.reference import ReferenceProber
from vapo.engines.vllm import VLLMProber
from vapo.engines.vllm_local import LocalEngine
from vapo.engines.vllm_pads import VLLM_FAMILIES

pytestmark = pytest.mark.vllm

LONG = "I see a 3, then a 5. So 3 + 5 = 8, and there are two cats: one is black. " * 4


@pytest.fixture(scope="module", params=VLLM_FAMILIES)
def family(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def model_and_processor(family):
    return build_for_vllm(family)


@pytest.fixture(scope="module")
def llm(family, tmp_path_factory):
    return start_llm(save_for_vllm(family, tmp_path_factory.mktemp(family)))


@pytest.fixture
def model(model_and_processor):
    return model_and_processor[0]


@pytest.fixture
def processor(model_and_processor):
    return model_and_processor[1]


class TestLocalEngine(ProberContract):
    atol = 1e-3

    @pytest.fixture
    def prober(self, model, processor, llm):
        return VLLMProber(
            LocalEngine(llm, model.config.image_token_id), processor.tokenizer, model.config.image_token_id
        )

    def test_verdicts_equal_the_reference_probers(self, model, processor, prober, probes):
        expected = [verdict.p_true for verdict in ReferenceProber(model, processor).score(probes)]
        got = [verdict.p_true for verdict in prober.score(probes)]
        print(f"largest difference to the reference: {np.abs(np.subtract(got, expected)).max():.1e}")
        np.testing.assert_allclose(got, expected, atol=1e-3)
