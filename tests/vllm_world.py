"""A world for tests on vLLM's CPU build: small models that its attention takes, and engines started as TRL does."""

from __future__ import annotations

import copy
import os
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import torch
from prober_contract import encode_prompt, extend_prompt
from tiny_models import build_tiny
from transformers import set_seed

from vapo.serving.vllm_weight_names import name_for_vllm
from vapo.types import Sample

ENGINE = {"dtype": "float32", "enforce_eager": True, "block_size": 32}
"""Float32 to compare by, no compilation, and the smallest cache blocks the CPU build has, as prompts are short."""

LONG = "I see a 3, then a 5. So 3 + 5 = 8, and there are two cats: one is black. " * 4
"""A response of several cache blocks."""
ENGINE_WORDS = ("--dtype", "float32", "--enforce-eager", "--block-size", "32")
"""The same for a server."""


def build_for_vllm(family: str) -> tuple[Any, Any]:
    """Return a random model of `family` with heads of 32, the smallest that vLLM's CPU attention takes."""
    tiny, processor = build_tiny(family)
    config = copy.deepcopy(tiny.config)
    text = config.text_config
    text.num_attention_heads = text.num_key_value_heads = 1
    if getattr(text, "head_dim", None) is not None:
        text.head_dim = text.hidden_size
    if "mrope_section" in text.rope_parameters:
        half = int(text.hidden_size * text.rope_parameters.get("partial_rotary_factor", 1)) // 2
        own = half * 3 // 8
        text.rope_parameters = {**text.rope_parameters, "mrope_section": [half - 2 * own, own, own]}
    # As in published checkpoints; vLLM asks for what transformers takes for granted.
    text.norm_topk_prob = True
    text.attention_bias = any("vis" not in name and name.endswith("q_proj.bias") for name in tiny.state_dict())
    set_seed(0)
    model = type(tiny)(config).float().eval()
    # As they are drawn, weights are so small that hardly anything depends on the image, and some are nothing.
    for parameter in model.parameters():
        if parameter.dim() > 1 and parameter.any():
            parameter.data *= 5
        else:
            parameter.data += 0.1 * torch.randn_like(parameter)
    model.generation_config = tiny.generation_config
    return model, processor


def save_for_vllm(family: str, folder: Path) -> Path:
    """Save what `build_for_vllm` builds as an ordinary checkpoint folder and return the folder."""
    model, processor = build_for_vllm(family)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    name_for_vllm(folder)
    return folder


def expanded_row(processor, sample: Sample) -> dict[str, object]:
    """A row as TRL 1.16 sends it: image tokens expanded, and the images themselves."""
    ids = encode_prompt(processor, sample)["input_ids"][0].tolist()
    return {"prompt_token_ids": ids, "multi_modal_data": {"image": list(sample.images)}}


def policy_logprobs(model, processor, sample: Sample, ids: list[int], never: tuple[int, ...]) -> list[float]:
    """What transformers says of each of `ids` behind the sample's prompt, when `never` cannot be sampled."""
    prompt = encode_prompt(processor, sample)
    with torch.no_grad():
        logits = model(**extend_prompt(prompt, ids)).logits[0, prompt["input_ids"].shape[1] - 1 : -1].float()
    logits[:, list(never)] = -torch.inf
    return logits.log_softmax(-1)[torch.arange(len(ids)), ids].tolist()


def engine_logprobs(output) -> list[float]:
    (completion,) = output.outputs
    return [step[token].logprob for step, token in zip(completion.logprobs, completion.token_ids, strict=True)]


def start_llm(folder: Path, **options: Any) -> Any:
    """Start an engine in this process."""
    # It imports and inspects most of torch, whose ageing parts warn; what it does afterwards is under the usual rule.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from vllm import LLM

        keep_weights()
        return LLM(str(folder), max_model_len=2048, logprobs_mode="processed_logprobs", seed=0, **ENGINE, **options)


@contextmanager
def run_server(model: Path, log: Path, *words: str) -> Iterator[str]:
    """A server as `vllm serve` makes it, by its URL; the CPU package has only the module, not the command."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model), "--port", str(port)]
    command += ["--host", "127.0.0.1", "--max-model-len", "2048", "--logprobs-mode", "processed_logprobs"]
    command += ["--enable-scale-out", "--enable-prompt-tokens-details", *ENGINE_WORDS, *words]
    environment = {**os.environ, "VLLM_SERVER_DEV_MODE": "1"}
    with open(log, "wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environment)
    try:
        url, patience = f"http://127.0.0.1:{port}", time.monotonic() + 240
        while True:
            assert process.poll() is None and time.monotonic() < patience, log.read_text()[-3000:]
            try:
                urlopen(f"{url}/health", timeout=5).close()
                break
            except (URLError, TimeoutError):
                time.sleep(1)
        yield url
    finally:
        process.terminate()
        process.wait(60)


def connect(base_url: str) -> Any:
    """Return TRL's client of a server."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        from trl.generation.vllm_client import VLLMClient

    return VLLMClient(base_url=base_url)


def keep_weights() -> None:
    """Make vLLM's CPU build keep its weights as they came, so that TRL can write new ones into them.

    It packs them for its own matrix product and drops the originals; on a GPU they stay.
    """
    from vllm.model_executor.layers import utils

    def plain_product(layer: Any, remove_weight: bool) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    utils.dispatch_cpu_unquantized_gemm = plain_product


def start_trl_engines_for_tests() -> None:
    """Make TRL start its engines with `ENGINE` and with weights that can be written; it has no options for these."""
    from functools import partial

    from trl.generation import vllm_generation
    from vllm import LLM

    keep_weights()
    vllm_generation.LLM = partial(LLM, **ENGINE)
