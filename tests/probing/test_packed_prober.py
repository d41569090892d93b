from __future__ import annotations

import numpy as np
import pytest
import torch
from prober_contract import ProberContract, make_probes, make_rollout, make_sample
from tiny_models import PACKED_FAMILIES, build_tiny

from vapo.errors import ModelError
from vapo.models.tree.packed import make_pack
from vapo.probing import packed_prober
from vapo.probing.packed_prober import PackedProber
from vapo.probing.reference import ReferenceProber
from vapo.probing.transformers_prober import TransformersProber
from vapo.types import Anchor, Probe


@pytest.fixture(scope="module", params=PACKED_FAMILIES)
def model_and_processor(request):
    return build_tiny(request.param)


class TestPackedProber(ProberContract):
    @pytest.fixture(params=[100_000, 150], ids=["one pass", "several"])
    def prober(self, model, processor, request):
        return PackedProber(model, processor, max_batch_tokens=request.param)


class TestTransformersProber(ProberContract):
    @pytest.fixture
    def prober(self, model, processor):
        return TransformersProber(model, processor, packing="require")


@pytest.fixture(scope="module")
def llava():
    model, processor = build_tiny("llava")
    for parameter in model.parameters():
        parameter.data *= 3  # far enough from a uniform output that mistakes show
    return model, processor


def test_the_attention_that_the_user_chose_is_never_called(llava):
    model, processor = llava
    probes = make_probes([make_rollout(processor, make_sample("a"), "I see a 3, then a 5.")])
    expected = [verdict.p_true for verdict in PackedProber(model, processor).score(probes)]
    config = model.model.language_model.config
    before, config._attn_implementation = config._attn_implementation, "flash_attention_2"
    try:
        assert [verdict.p_true for verdict in PackedProber(model, processor).score(probes)] == expected
        assert config._attn_implementation == "flash_attention_2"
    finally:
        config._attn_implementation = before


def test_only_tokens_that_somebody_looks_back_on_are_encoded(llava, monkeypatch):
    model, processor = llava
    rollout = make_rollout(processor, make_sample("a"), "I see a 3, then a 5.")
    rows = []
    monkeypatch.setattr(packed_prober, "make_pack", lambda *args: (rows.append(make_pack(*args)), rows[-1])[1])
    PackedProber(model, processor).score([Probe(rollout, Anchor(2, 0.1), rollout.sample.claims[0])])
    assert rows[0].trees[0].completions == (rollout.completion_ids[:2],)


@pytest.mark.parametrize("prober", [PackedProber, ReferenceProber])
def test_a_pass_for_each_question_answers_alike(llava, prober):
    model, processor = llava
    probes = make_probes([make_rollout(processor, make_sample(name), "I see a 3, then a 5.") for name in ("a", "b")])
    expected = [verdict.p_true for verdict in prober(model, processor).score(probes)]
    alone = [verdict.p_true for verdict in prober(model, processor, max_batch_tokens=1).score(probes)]
    np.testing.assert_allclose(alone, expected, atol=1e-5)


def test_completions_that_are_alike_share_a_branch(llava, monkeypatch):
    model, processor = llava
    sample = make_sample("a")
    rollouts = [make_rollout(processor, sample, "I see a 3.") for _ in range(2)]
    rows = []
    monkeypatch.setattr(packed_prober, "make_pack", lambda *args: (rows.append(make_pack(*args)), rows[-1])[1])
    PackedProber(model, processor).score(make_probes(rollouts))
    assert len(rows[0].trees[0].completions) == 1


class TestFirstLook:
    @pytest.fixture
    def probes(self, llava, monkeypatch):
        # As a family whose positions we had wrong would.
        monkeypatch.setattr("vapo.models.tree.packed.tree_positions", lambda trunk, depth: depth[None] // 2)
        return make_probes([make_rollout(llava[1], make_sample("a"), "I see a 3, then a 5.")])

    def test_wrong_verdicts_are_never_given(self, llava, probes):
        prober = TransformersProber(*llava)
        assert prober.is_packed
        verdicts = prober.score(probes)
        assert not prober.is_packed and verdicts == ReferenceProber(*llava).score(probes)

    def test_nor_where_packing_is_required(self, llava, probes):
        with pytest.raises(ModelError, match=r"packed verdicts differ .* use packing='off'"):
            TransformersProber(*llava, packing="require").score(probes)

    @pytest.fixture
    def failing_probes(self, llava, monkeypatch):
        # As a family whose layers take their inputs in another form would.
        def fail(*_):
            raise RuntimeError("The size of tensor a (16) must match\nthe size of tensor b (24)")

        monkeypatch.setattr("vapo.models.tree.packed.tree_positions", fail)
        return make_probes([make_rollout(llava[1], make_sample("a"), "I see a 3, then a 5.")])

    def test_what_cannot_be_computed_is_said_once_and_asked_row_by_row(self, llava, failing_probes):
        said = []
        prober = TransformersProber(*llava, tell=said.append)
        verdicts = [prober.score(failing_probes) for _ in range(2)]
        assert not prober.is_packed and verdicts == [ReferenceProber(*llava).score(failing_probes)] * 2
        assert said == [
            "every probe is encoded as a row of its own: packed verdicts cannot be computed "
            "(The size of tensor a (16) must match)"
        ]

    def test_it_stops_where_packing_is_required(self, llava, failing_probes):
        with pytest.raises(ModelError, match=r"cannot be computed \(The size .* use packing='off'"):
            TransformersProber(*llava, packing="require").score(failing_probes)

    def test_memory_that_does_not_suffice_is_no_reason(self, llava, monkeypatch, failing_probes):
        def fail(*_):
            raise torch.OutOfMemoryError("out of memory")

        monkeypatch.setattr("vapo.models.tree.packed.tree_positions", fail)
        with pytest.raises(torch.OutOfMemoryError):
            TransformersProber(*llava).score(failing_probes)

    def test_an_obstacle_is_named(self, llava, monkeypatch):
        monkeypatch.setattr(llava[0].model.language_model.config, "attention_dropout", 0.1)
        assert not TransformersProber(*llava).is_packed
        with pytest.raises(ModelError, match="drops attention weights at random"):
            TransformersProber(*llava, packing="require")
