"""Probes put to a real vLLM server, and TRL's rollouts on it."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from prober_contract import ProberContract, make_probes, make_rollout, make_sample
from vllm_world import LONG, build_for_vllm, connect, policy_logprobs, run_server, save_for_vllm

from vapo.models.media_tokens import find_vision_token_ids
from vapo.probing.vllm.prober import VLLMProber
from vapo.probing.vllm.server import ServerEngine, place_features
from vapo.training.vllm_rollouts import NEVER, fix_rollouts

pytestmark = [pytest.mark.vllm, pytest.mark.xdist_group("vllm")]


@pytest.fixture(scope="module")
def model_and_processor():
    return build_for_vllm("qwen2_5_vl")


@pytest.fixture
def pad(model) -> int:
    return model.config.image_token_id


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    save_for_vllm("qwen2_5_vl", folder / "model")
    with run_server(folder / "model", folder / "log") as url:
        yield url


class TestServerEngine(ProberContract):
    atol = 1e-3

    @pytest.fixture
    def shares(self) -> list[float]:
        return []

    @pytest.fixture
    def prober(self, pad, processor, server, shares):
        return VLLMProber(ServerEngine(server, pad), processor.tokenizer, pad, on_cache_share=shares.append)

    def test_trls_rollouts_are_those_of_transformers_and_warm_the_cache(
        self, server, model, processor, prober, pad, shares
    ):
        """TRL 1.16 pairs expanded ids with features here, so this needs no fixing."""
        client, sample = connect(server), make_sample("served", (112, 84))
        never = find_vision_token_ids(model.config, processor.tokenizer)
        rollout = make_rollout(processor, sample, LONG)
        prompt = [*rollout.prompt_ids, *rollout.completion_ids]
        features = [place_features(client.image_features([list(sample.images)])[0], prompt, pad)]
        bias = {"logit_bias": dict.fromkeys(never, NEVER)}
        output = client.generate([prompt], features, max_tokens=24, logprobs=0, generation_kwargs=bias)
        (ids,) = output["completion_ids"]
        assert not set(ids) & set(never)
        expected = policy_logprobs(model, processor, sample, [*rollout.completion_ids, *ids], never)[-len(ids) :]
        np.testing.assert_allclose(np.ravel(output["logprobs"]), expected, atol=1e-3)
        prober.score(make_probes([rollout])[-1:])
        assert shares[0] > 0.5
        untouched = {"_iter_named_params": model.named_parameters, "_place_features": place_features}
        fix_rollouts(SimpleNamespace(mode="server", vllm_client=client, model=model, **untouched), pad)
        client.reset_prefix_cache()
        prober.score(make_probes([rollout])[-1:])
        assert shares[1] == 0
