"""Probing on vLLM, its prefix cache warm from the rollout, where vLLM is installed."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from benchmarks.models import SHAPES, build_model
from vapo.probing.vllm.local import LocalEngine
from vapo.probing.vllm.prober import ImagePrompt, VLLMProber
from vapo.types import Probe, Rollout, Verdict

HOW_TO_GET_IT = "vllm: left out; run where vLLM is installed (make vllm makes such an environment)"


def is_installed() -> bool:
    """Return whether vLLM can be imported."""
    return find_spec("vllm") is not None


class WarmEngine:
    """A `vllm.LLM` in this process, as TRL's colocated mode makes it, that has just made the rollouts.

    Args:
        name: the shape of the model; its weights are those of `build_model`.
        device: "cpu" or "cuda".
        rollouts: what it is taken to have made.
    """

    def __init__(self, name: str, device: str, rollouts: Sequence[Rollout]) -> None:
        self._llm, tokenizer, image_token_id = _start(name, device)
        self._rollouts = rollouts
        self._engine = LocalEngine(self._llm, image_token_id)
        self.cache_shares: list[float] = []
        self._prober = VLLMProber(self._engine, tokenizer, image_token_id, on_cache_share=self.cache_shares.append)

    def warm(self) -> None:
        """Forget all probes and know the rollouts: what the cache holds when probing begins."""
        self._llm.reset_prefix_cache()
        prompts = [ImagePrompt(own.prompt_ids + own.completion_ids, own.sample.images) for own in self._rollouts]
        self._engine.answer(prompts, [0])

    def score(self, probes: Sequence[Probe]) -> list[Verdict]:
        """Return one verdict per probe, in order."""
        return self._prober.score(probes)


@cache
def _start(name: str, device: str) -> tuple[Any, Any, int]:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # in this process, whose clock may be asked
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    model, processor = build_model(name, device)
    folder = Path(mkdtemp())
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    with warnings.catch_warnings():  # it imports and inspects most of torch, whose ageing parts warn
        warnings.simplefilter("ignore")
        llm = import_module("vllm").LLM(
            str(folder),
            dtype=str(SHAPES[name].dtype).removeprefix("torch."),
            enforce_eager=device == "cpu",
            max_model_len=8192,
            logprobs_mode="processed_logprobs",
            gpu_memory_utilization=0.5,
            seed=0,
        )
    return llm, processor.tokenizer, model.config.image_token_id
