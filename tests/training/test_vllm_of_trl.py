"""What of TRL's rollouts on vLLM the fixes lean on."""

from __future__ import annotations

import inspect

from trl.generation import vllm_client, vllm_generation
from trl.generation.vllm_generation import VLLMGeneration


class TestWhatWeLeanOn:
    def test_the_engine_is_called_as_it_is_fixed(self):
        source = inspect.getsource(VLLMGeneration.generate)
        assert "self.llm.generate(vllm_prompts, sampling_params=sampling_params, use_tqdm=False)" in source
        assert 'row["multi_modal_data"] = {"image": img_list if len(img_list) > 1 else img_list[0]}' in source
        assert "SamplingParams(**generation_kwargs)" in source and "generation_kwargs.update(self.gene" in source

    def test_weights_are_synchronised_and_caches_reset_where_they_are_fixed(self):
        assert list(inspect.signature(VLLMGeneration.sync_weights).parameters) == ["self"]
        source = inspect.getsource(VLLMGeneration.sync_weights)
        assert "self.llm.reset_prefix_cache()" in source and "self.vllm_client.reset_prefix_cache()" in source
        assert "reset_encoder_cache" not in source  # when TRL does it, ours has no more to do

    def test_sleep_is_what_it_was(self):
        source = inspect.getsource(VLLMGeneration.generate)
        assert 'self.llm.wake_up(tags=["kv_cache"])' in source and "self.llm.sleep(level=2)" in source
        assert "self._llm_weights_sleeping = True" in source

    def test_the_server_is_asked_at_the_same_endpoints_with_expanded_prompts(self):
        client = inspect.getsource(vllm_client.VLLMClient)
        assert "/v1/chat/completions/render" in client and "/inference/v1/generate" in client
        assert "self._place_features(prompt_features, prompt_ids)" in inspect.getsource(VLLMGeneration.generate)
        parameters = inspect.signature(VLLMGeneration.generate).parameters
        assert list(parameters) == ["self", "prompts", "images", "num_generations", "profiler"]
        assert vllm_generation.VLLMClient is vllm_client.VLLMClient
