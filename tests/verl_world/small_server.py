"""A server as verl's clients know it, with a small model behind it: a Ray actor that speaks the servers' interface.

What verl's own vLLM server does with sampling parameters is done here in the plainest way: a mask or a bias on the
logits, greedy or drawn, and the log-probability of the sampled token after both.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import Any

import torch
from transformers import DynamicCache

from vapo.diagnosis.transformers.response_reader import continuing
from vapo.models.image_features import find_feature_module
from vapo.models.images import process_images
from vapo.models.policy.checkpoint import load_policy
from vapo.models.policy.inference import inference
from vapo.models.vision_tokens import find_image_token_id, find_token_type_name

SAMPLING = {"max_tokens", "temperature", "top_p", "top_k", "repetition_penalty", "logprobs", "logit_bias"}
KNOWN = {
    "vllm": SAMPLING | {"allowed_token_ids"},
    "sglang": (SAMPLING - {"max_tokens"}) | {"max_new_tokens"},  # SGLang refuses what it does not know
}


class SmallServer:
    """Args: the model's folder; what prompts of one image, of two, ... are answered with; longest completion."""

    def __init__(self, model: str, responses: list[list[int]], response_length: int) -> None:
        torch.set_num_threads(1)
        self._policy = load_policy(model)
        self._responses = responses
        self._response_length = response_length
        self.begin_anew()

    def begin_anew(self, engine: str = "vllm", weights: int | None = 0, **faults: Any) -> None:
        """Forget what was seen; be at fault in these ways from now on."""
        self._engine, self._faults, self.seen, self.global_steps = engine, faults, [], weights

    def recall(self) -> list[dict[str, Any]]:
        """Return every request: its id, token ids, parameters, number of images and a checksum of these."""
        return self.seen

    async def generate(
        self,
        prompt_ids: list[int],
        sampling_params: dict[str, Any],
        request_id: str,
        image_data: list[Any] | None = None,
        video_data: Any = None,
        mm_processor_kwargs: Any = None,
        priority: int = 0,
    ) -> Any:
        from verl.workers.rollout.replica import TokenOutput

        unknown = set(sampling_params) - KNOWN[self._engine]
        if unknown:
            raise TypeError(f"SamplingParams got an unexpected keyword argument {sorted(unknown)[0]!r}")
        given = dict(sampling_params)
        limit = given.pop("max_tokens", given.pop("max_new_tokens", None))
        asks = limit == 1
        faults = self._faults  # those of now: who sleeps may wake under others
        pixels = zlib.crc32(b"".join(image.tobytes() for image in image_data or ()))
        own = {"id": request_id, "ids": prompt_ids, "params": dict(sampling_params)}
        self.seen.append({**own, "images": len(image_data or ()), "pixels": pixels})
        if asks and faults.get("fails"):
            raise RuntimeError("the engine is gone")
        if asks and faults.get("sleeps"):
            await asyncio.sleep(faults["sleeps"])
        if asks and "newer" in faults:
            self.global_steps = faults["newer"]
        if not asks and self._responses:
            tokens, logprobs = self._responses[len(image_data or ()) - 1], None
        else:
            tokens, logprobs = self._complete(prompt_ids, image_data or [], given, limit or self._response_length)
        return TokenOutput(
            token_ids=tokens,
            log_probs=logprobs if logprobs is not None else [0.0] * len(tokens),
            stop_reason="completed",
            num_preempted=0,
            extra_fields={"global_steps": self.global_steps},
        )

    def _complete(self, ids: list[int], images: list[Any], given: dict[str, Any], limit: int) -> Any:
        model, processor = self._policy.model, self._policy.processor
        inputs = dict(process_images(processor, images).tensors) if images else {}
        tokens: list[int] = []
        logprobs: list[float] = []
        generator = torch.Generator().manual_seed(len(self.seen))
        with inference(model):
            row = torch.tensor([ids])
            inputs |= {"input_ids": row, "attention_mask": torch.ones_like(row)}
            module = find_feature_module(model)
            token_type_name = find_token_type_name(module, processor)
            if token_type_name is not None:  # Qwen's positions come from it
                inputs[token_type_name] = (row == find_image_token_id(module.config)).long()
            cache = continuing(module, DynamicCache(config=model.config.get_text_config()))
            state = model(**inputs, **cache, logits_to_keep=1)
            while True:
                logits = state.logits[0, -1].double()
                raw = logits.log_softmax(-1)
                for token, bias in (given.get("logit_bias") or {}).items():
                    logits[int(token)] += bias
                if given.get("allowed_token_ids") and not self._faults.get("ignores"):
                    mask = torch.full_like(logits, -torch.inf)
                    mask[given["allowed_token_ids"]] = 0
                    logits = logits + mask
                processed = logits.log_softmax(-1)
                token = self._draw(processed, given["temperature"], generator)
                tokens.append(token)
                logprobs.append(float((raw if self._faults.get("raw") else processed)[token]))
                if len(tokens) == limit or token == processor.tokenizer.eos_token_id:
                    return tokens, logprobs
                past = torch.ones(1, len(ids) + len(tokens), dtype=torch.long)
                state = model(input_ids=torch.tensor([[token]]), attention_mask=past, **cache)

    def _draw(self, logprobs: torch.Tensor, temperature: float, generator: torch.Generator) -> int:
        if self._faults.get("ignores") or temperature == 0:
            return int(logprobs.argmax())
        return int(torch.multinomial((logprobs / temperature).softmax(-1), 1, generator=generator))
