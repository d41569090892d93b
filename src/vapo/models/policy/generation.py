"""Let a policy answer: completions of samples, with a transformers model, in batches.

Each completion draws from a generator of its own, seeded by the run's seed, its sample's id and its number. So it
does not matter which completions share a batch, or where an interrupted run goes on, and the global random state is
neither read nor changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from zlib import crc32

import numpy as np
import torch
from transformers import (
    GenerationConfig,
    GenerationMixin,
    LogitsProcessor,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from vapo.errors import ConfigError, ModelError
from vapo.models.first_device import find_first_device
from vapo.models.image_features import find_feature_module, name_images, shared_image_features
from vapo.models.media_tokens import find_vision_token_ids
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.inference import explaining_failures, inference
from vapo.models.policy.prompt_writer import Prompt, PromptWriter
from vapo.models.policy.response_texts import spell_tokens
from vapo.models.vision_tokens import find_image_token_id, find_token_type_name, token_types
from vapo.types import Rollout, Sample

_COMPLETION_DRAWS = 1  # keeps these generators apart from others with the same seed


def sample_completions(
    policy: Policy,
    samples: Sequence[Sample],
    *,
    max_completion_tokens: int,
    num_completions: int = 1,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
    batch_size: int = 16,
    system_prompt: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Iterator[list[Rollout]]:
    """Yield the completions of each sample, in order; samples are read as their turn comes.

    A completion keeps its end token; one without is cut off, see `is_finished`. Tokens that stand for images are
    never sampled, and what the model's own generation settings say about sampling is not used.

    Args:
        policy: the model and its processor; the model's mode is restored after each batch.
        samples: what to answer.
        max_completion_tokens: longest completion, at least 1.
        num_completions: completions of each sample, at least 1.
        temperature: what logits are divided by; 0 takes the likeliest token each time.
        top_p: the least probability that the tokens drawn from must cover, in (0, 1].
        seed: of the draws.
        batch_size: completions generated together, at least 1; it changes results by rounding alone.
        system_prompt: text of a system message; None for none.
        on_progress: called with (samples answered, samples in all).

    Raises:
        ConfigError: a number is out of its range.
        DataError: a question's `<image>` places do not fit its images.
        ModelError: the model cannot be used, or a prompt leaves no room in its context.
    """
    _check_ranges(max_completion_tokens, num_completions, temperature, top_p, batch_size)
    writer = PromptWriter(policy, system_prompt)
    eos_ids = find_eos_token_ids(policy)
    together = max(1, batch_size // num_completions)

    def answer_all() -> Iterator[list[Rollout]]:
        for start in range(0, len(samples), together):
            chunk = [samples[n] for n in range(start, min(start + together, len(samples)))]
            prompts = [writer.write(sample, room_for=max_completion_tokens) for sample in chunk]
            rows = [(prompt, member) for prompt in prompts for member in range(num_completions)]
            completions: list[tuple[int, ...]] = []
            for first in range(0, len(rows), batch_size):
                some = rows[first : first + batch_size]
                draw = None
                if temperature > 0:
                    noise = np.stack(
                        [_draw_noise(p.sample, member, seed, max_completion_tokens) for p, member in some]
                    )
                    draw = _Draws(noise, temperature, top_p)
                completions += complete_prompts(policy, [p for p, _ in some], max_completion_tokens, eos_ids, draw)
            for number, prompt in enumerate(prompts):
                own = completions[number * num_completions : (number + 1) * num_completions]
                yield [_make_rollout(policy, prompt, completion) for completion in own]
                if on_progress is not None:
                    on_progress(start + number + 1, len(samples))

    return answer_all()


def find_eos_token_ids(policy: Policy) -> tuple[int, ...]:
    """Return every token that ends a completion: those of the generation settings and the tokenizer's own."""
    configured = policy.model.generation_config.eos_token_id
    ids = set(configured if isinstance(configured, (list, tuple)) else [configured])
    ids.add(policy.processor.tokenizer.eos_token_id)
    found = tuple(sorted(int(i) for i in ids if i is not None))
    if not found:
        raise ModelError(f"{policy.name} names no token that ends its text; set eos_token in its tokenizer")
    return found


def is_finished(rollout: Rollout, eos_ids: Sequence[int]) -> bool:
    """Whether a completion came to its own end; False means that it was cut off at the longest length."""
    return bool(rollout.completion_ids) and rollout.completion_ids[-1] in eos_ids


class _Draws(LogitsProcessor):
    """Leave one token per row: where the cumulative probability passes the row's number of noise.

    `model.generate` samples from one global generator for the whole batch; this lets each row have its own.
    """

    def __init__(self, noise_RT: np.ndarray, temperature: float, top_p: float) -> None:
        self._noise = torch.from_numpy(noise_RT)
        self._step = 0
        self._warpers = LogitsProcessorList([TemperatureLogitsWarper(float(temperature))])
        if top_p < 1:
            self._warpers.append(TopPLogitsWarper(top_p))

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        warped = self._warpers(input_ids, scores.float())
        # float64: in float32 the sum over a large vocabulary loses the rare tokens.
        cumulative = warped.double().softmax(-1).cumsum(-1)
        noise = self._noise[:, self._step, None].to(scores.device)
        self._step += 1
        # Scaled by the last sum, which rounding may leave below 1; <= so that a token of probability 0 is never drawn.
        chosen = (cumulative <= noise * cumulative[:, -1:]).sum(-1, keepdim=True)
        return torch.full_like(scores, -torch.inf).scatter(-1, chosen, 0.0)


def _draw_noise(sample: Sample, member: int, seed: int, count: int) -> np.ndarray:
    return np.random.default_rng([_COMPLETION_DRAWS, seed, crc32(sample.id.encode()), member]).random(count)


@torch.no_grad()
def complete_prompts(
    policy: Policy,
    prompts: Sequence[Prompt],
    max_tokens: int,
    eos_ids: Sequence[int],
    draw: LogitsProcessor | None = None,
) -> list[tuple[int, ...]]:
    """Return what the model writes behind each prompt, in one batch, with the end token if it came to one.

    Args:
        policy: the model and its processor.
        prompts: at least one, each with images; its ids may hold the beginning of a completion.
        max_tokens: longest completion.
        eos_ids: see `find_eos_token_ids`.
        draw: chooses each token; None takes the likeliest.

    Raises:
        ModelError: the model fails.
    """
    model, tokenizer = policy.model, policy.processor.tokenizer
    module = find_feature_module(model)
    device = find_first_device(module)
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else eos_ids[0]
    length = max(len(prompt.ids) for prompt in prompts)
    ids = [[pad_id] * (length - len(prompt.ids)) + list(prompt.ids) for prompt in prompts]
    mask = [[0] * (length - len(prompt.ids)) + [1] * len(prompt.ids) for prompt in prompts]
    inputs: dict[str, Any] = {
        "input_ids": torch.tensor(ids, device=device),
        "attention_mask": torch.tensor(mask, device=device),
    }
    token_type_name = find_token_type_name(module, policy.processor)
    if token_type_name is not None:
        types = [token_types(row, find_image_token_id(model.config)) for row in ids]
        inputs[token_type_name] = torch.tensor(types, device=device)
    distinct = list(dict.fromkeys(id(prompt.images) for prompt in prompts))
    by_id = {id(prompt.images): prompt.images.to(device) for prompt in prompts}
    rows = [distinct.index(id(prompt.images)) for prompt in prompts]
    images = [by_id[key] for key in distinct]
    inputs |= name_images(module, [images[row] for row in rows])
    config = GenerationConfig(
        max_new_tokens=max_tokens,
        do_sample=False,
        eos_token_id=list(eos_ids),
        pad_token_id=pad_id,
        suppress_tokens=list(find_vision_token_ids(model.config, policy.processor)) or None,
    )
    generator = find_generator(model)
    processors = LogitsProcessorList([draw] if draw is not None else [])
    with (
        inference(model),
        own_settings(generator, config),
        shared_image_features(module, rows, images, None),
        explaining_failures(policy.name),
    ):
        out = generate(generator, **inputs, generation_config=config, logits_processor=processors)
    return [_cut_behind_end(row, eos_ids) for row in out[:, length:].tolist()]


def find_generator(model: torch.nn.Module) -> Any:
    """Return the module that generates text, below any wrapper. Raises ModelError if there is none."""
    generators = [module for module in model.modules() if isinstance(module, GenerationMixin)]
    if not generators:
        raise ModelError(f"{type(model).__name__} cannot generate text; load it with a language head")
    return generators[0]


def generate(generator: Any, **inputs: Any) -> Any:
    """Generate text as every model of transformers does.

    Some families have a `generate` of their own, for what else they can write. Janus's forgets logits processors.

    Args:
        generator: what `find_generator` returned.
        inputs: of `transformers.GenerationMixin.generate`.
    """
    mixin: Any = GenerationMixin
    return mixin.generate(generator, **inputs)


@contextmanager
def own_settings(generator: Any, config: GenerationConfig) -> Iterator[None]:
    # transformers fills what a config leaves open from the model's own: repetition penalties, top_k, temperature.
    before = generator.generation_config
    generator.generation_config = config
    try:
        yield
    finally:
        generator.generation_config = before


def _cut_behind_end(ids: list[int], eos_ids: Sequence[int]) -> tuple[int, ...]:
    end = next((place for place, token in enumerate(ids) if token in eos_ids), len(ids) - 1)
    return tuple(ids[: end + 1])


def _make_rollout(policy: Policy, prompt: Prompt, completion_ids: tuple[int, ...]) -> Rollout:
    texts = spell_tokens(policy.processor.tokenizer, completion_ids)
    return Rollout(prompt.sample, prompt.ids, completion_ids, texts)


def _check_ranges(max_tokens: int, num_completions: int, temperature: float, top_p: float, batch_size: int) -> None:
    least_one = {"max_completion_tokens": max_tokens, "num_completions": num_completions, "batch_size": batch_size}
    for name, value in least_one.items():
        if value < 1:
            raise ConfigError(f"{name} is {value}; it must be at least 1")
    if not 0 <= temperature < float("inf"):
        raise ConfigError(f"temperature is {temperature}; it must be a finite number, 0 (the likeliest token) or more")
    if not 0 < top_p <= 1:
        raise ConfigError(f"top_p is {top_p}; it must be in (0, 1]")
