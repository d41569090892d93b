"""A prompt as the model reads it, with its special tokens, and whether the longest one has room."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from vapo.check.section import Section
from vapo.data.prompts import build_messages
from vapo.models.images import apply_chat_template
from vapo.training.other_images import write_prompts
from vapo.types import Sample

PROBE_ROOM = 128
"""Tokens that a claim takes behind prompt and completion, as in the recipes."""


def look_at_prompt(options: Any, config: Any, processor: Any, escape: Any, sample: Sample, longest: int) -> Section:
    """Render a sample, and compare the longest prompt with the model's context and the engine's.

    Args:
        options: of the run (`vapo.training.options.RunOptions`).
        config: of the model.
        processor: of the model.
        escape: keeps text from turning into special tokens.
        sample: to be rendered.
        longest: prompt of the data that were looked at, in tokens.
    """
    messages = build_messages(sample, options.data.system_prompt, escape)
    (prompt_of_run,) = write_prompts([{"prompt": messages}], [list(sample.images)])
    template_options = options.training.chat_template_kwargs or {}
    encoded = apply_chat_template(processor, prompt_of_run, add_generation_prompt=True, **template_options)
    ids = encoded["input_ids"][0].tolist()
    most = options.data.max_prompt_tokens
    prompt = longest if most is None else min(longest, most)
    needed = prompt + options.training.max_completion_length
    context = getattr(config.get_text_config(), "max_position_embeddings", None)
    problems: list[str] = []
    if context is not None and needed > context:
        problems.append(
            f"the longest prompt ({prompt} tokens) and completion ({options.training.max_completion_length}) exceed "
            f"the model's context of {context}; lower max_prompt_tokens or max_completion_length"
        )
    training = options.training
    engine = training.vllm_max_model_length if training.use_vllm and training.vllm_mode == "colocate" else None
    if engine is not None and needed + PROBE_ROOM > engine:
        problems.append(
            f"prompt, completion and a claim need {needed + PROBE_ROOM} tokens, and vllm_max_model_length is {engine}"
        )
    warnings: list[str] = []
    if most is not None and longest > most:
        warnings.append(f"prompts of more than {most} tokens are left out; the longest has {longest}")
    rendered = show_tokens(processor.tokenizer, ids)
    facts = {"rendered": rendered, "longest": f"{prompt} tokens, {needed} with a completion; context {context}"}
    numbers = {"rendered": rendered, "tokens": len(ids), "longest": prompt, "needed": needed, "context": context}
    return Section("prompt", facts, numbers, problems, warnings)


def show_tokens(tokenizer: Any, ids: Sequence[int]) -> str:
    """Return tokens as text in which line breaks are seen, and a token that comes several times comes once."""
    added = {number: str(token) for token, number in tokenizer.get_added_vocab().items()}
    shown: list[str] = []
    text: list[int] = []
    for token, run in groupby(ids):
        count = len(list(run))
        if token not in added:
            text += [token] * count
            continue
        shown += [tokenizer.decode(text), added[token] + (f" x {count} " if count > 1 else "")]
        text = []
    return "".join([*shown, tokenizer.decode(text)]).replace("\n", "\\n")
