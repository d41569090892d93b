"""Probes and rollouts on a real vLLM engine, its CPU build: equal to transformers, and out of its prefix cache."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from prober_contract import ProberContract, make_probes, make_rollout, make_sample
from transformers import AutoModelForImageTextToText, AutoProcessor
from vllm_world import (
    LONG,
    engine_logprobs,
    expanded_row,
    policy_logprobs,
    save_for_vllm,
    start_llm,
)

from vapo.errors import ModelError
from vapo.models.media_tokens import find_vision_token_ids
from vapo.probing.reference import ReferenceProber
from vapo.probing.vllm.local import LocalEngine
from vapo.probing.vllm.pads import VLLM_FAMILIES
from vapo.probing.vllm.prober import VLLMProber
from vapo.training.vllm_rollouts import NEVER, PatchedLLM, name_weights_as_saved

pytestmark = [pytest.mark.vllm, pytest.mark.xdist_group("vllm")]

SAMPLING = {"max_tokens": 24, "temperature": 1.0, "logprobs": 0, "seed": 1}


# One of each kind in every run: a run of image tokens, tiles with marks between them, a tower that is named otherwise.
OFTEN = ("qwen2_5_vl", "qwen3_vl", "idefics3", "llava")
TRIED = [pytest.param(one, marks=[] if one in OFTEN else [pytest.mark.slow]) for one in VLLM_FAMILIES]


@pytest.fixture(scope="module", params=TRIED)
def family(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def folder(family, tmp_path_factory) -> Path:
    return save_for_vllm(family, tmp_path_factory.mktemp(family))


@pytest.fixture(scope="module")
def model_and_processor(folder):
    model = AutoModelForImageTextToText.from_pretrained(folder).float().eval()
    return model, AutoProcessor.from_pretrained(folder)


@pytest.fixture(scope="module")
def llm(folder):
    return start_llm(folder)


@pytest.fixture
def pad(model) -> int:
    return model.config.image_token_id


class TestRollouts:
    def generate(self, llm, rows, **options):
        from vllm import SamplingParams

        return llm.generate(rows, sampling_params=SamplingParams(**SAMPLING, **options), use_tqdm=False)

    def test_the_engine_sees_each_image_once(self, llm, processor, pad):
        row = expanded_row(processor, make_sample("count", (112, 84)))
        n = row["prompt_token_ids"].count(pad)
        (unfixed,), (fixed,) = self.generate(llm, [row]), self.generate(PatchedLLM(llm, pad), [row])
        print(f"image tokens: {n} sent, {unfixed.prompt_token_ids.count(pad)} in the engine, fixed {n}")
        assert unfixed.prompt_token_ids.count(pad) == 2 * n - 1  # when vLLM or TRL fixes it, ours has no more to do
        assert fixed.prompt_token_ids == row["prompt_token_ids"]

    def test_log_probabilities_are_those_of_transformers(self, llm, model, processor, pad):
        never = find_vision_token_ids(model.config, processor.tokenizer)
        samples = [make_sample("one", (112, 84)), make_sample("two", (56, 84), num_images=2)]
        first, second, third = make_sample("three", num_images=3).images
        samples.append(replace(samples[0], images=(first, second.resize((56, 20)), third.resize((20, 84)))))
        rows = [expanded_row(processor, sample) for sample in samples]
        differences = []
        for engine in (PatchedLLM(llm, pad), llm):
            outputs = self.generate(engine, rows, logit_bias=dict.fromkeys(never, NEVER))
            for sample, output in zip(samples, outputs, strict=True):
                ids = list(output.outputs[0].token_ids)
                assert not set(ids) & set(never)
                expected = policy_logprobs(model, processor, sample, ids, never)
                differences.append(np.abs(np.subtract(engine_logprobs(output), expected)).max())
        print(
            f"largest difference of log-probabilities: fixed {max(differences[:3]):.1e}, "
            f"as TRL sends it {max(differences[3:]):.1e}"
        )
        assert max(differences[:3]) < 1e-3 < 1e-1 < max(differences[3:])

    def test_a_trained_vision_tower_sees_with_its_new_weights(self, llm, model, processor, pad):
        """TRL 1.16 empties the prefix cache after an update, and leaves images encoded with the old weights."""
        runner = llm.llm_engine.model_executor.driver_worker.model_runner
        sample, of_images = make_sample("trained", (112, 84)), ("visual", "vision", "connector", "projector")
        before = {name: value.clone() for name, value in model.named_parameters()}
        generation = SimpleNamespace(model=model, _iter_named_params=model.named_parameters)
        name_weights_as_saved(generation)

        def difference(engine) -> float:
            for name, parameter in generation._iter_named_params():
                runner.model.load_weights([(name, parameter.data)])
            engine.reset_prefix_cache()
            (output,) = self.generate(PatchedLLM(llm, pad), [expanded_row(processor, sample)])
            expected = policy_logprobs(model, processor, sample, list(output.outputs[0].token_ids), ())
            return float(np.abs(np.subtract(engine_logprobs(output), expected)).max())

        try:
            self.generate(PatchedLLM(llm, pad), [expanded_row(processor, sample)])  # encoded with the old weights
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    if parameter.dim() > 1 and any(part in name for part in of_images):
                        parameter *= 1.3
            stale, fresh = difference(llm), difference(PatchedLLM(llm, pad))
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter *= 1.1
            whole = difference(PatchedLLM(llm, pad))
        finally:
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    parameter.copy_(before[name])
            again = difference(PatchedLLM(llm, pad))
        print(f"largest difference after an update of the vision tower: {stale:.1e}, fixed {fresh:.1e}, {whole:.1e}")
        assert max(fresh, whole, again) < 1e-3
        assert stale > 1e-2  # when vLLM or TRL fixes it, ours has no more to do


class TestLocalEngine(ProberContract):
    atol = 1e-3

    @pytest.fixture
    def shares(self) -> list[float]:
        return []

    @pytest.fixture
    def prober(self, pad, processor, llm, shares):
        return VLLMProber(LocalEngine(llm, pad), processor.tokenizer, pad, on_cache_share=shares.append)

    def test_verdicts_equal_the_reference_probers(self, model, processor, prober, probes):
        expected = [verdict.p_true for verdict in ReferenceProber(model, processor).score(probes)]
        got = [verdict.p_true for verdict in prober.score(probes)]
        print(f"largest difference to the reference: {np.abs(np.subtract(got, expected)).max():.1e}")
        np.testing.assert_allclose(got, expected, atol=1e-3)

    def test_a_rollout_warms_the_prefix_cache_for_its_probes(self, llm, processor, prober, pad, shares):
        from vllm import SamplingParams

        rollout = make_rollout(processor, make_sample("warm", (112, 84)), LONG)
        llm.reset_prefix_cache()
        row = expanded_row(processor, rollout.sample)
        row["prompt_token_ids"] = [*rollout.prompt_ids, *rollout.completion_ids]
        PatchedLLM(llm, pad).generate([row], SamplingParams(max_tokens=1), use_tqdm=False)
        (probe,) = make_probes([rollout])[-1:]
        prober.score([probe])
        print(f"share of the probe's tokens found in the prefix cache: {shares[0]:.2f}")
        assert shares[0] > 0.5

    def test_another_processor_than_the_engines_is_noticed(self, processor, prober, pad):
        rollout = make_rollout(processor, make_sample("small"), "One.")
        first = rollout.prompt_ids.index(pad)
        fewer = replace(rollout, prompt_ids=rollout.prompt_ids[:first] + rollout.prompt_ids[first + 1 :])
        probe = make_probes([fewer])[0]
        with pytest.raises(ModelError, match="vLLM would see another prompt"):
            prober.score([probe])
