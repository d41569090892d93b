"""The work that both sides of a benchmark do: a group of completions of one prompt with an image, and its probes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.models import PIXELS_PER_TOKEN_SIDE
from benchmarks.texts import QUESTION, write_claim, write_thought
from vapo.models.images import process_images
from vapo.models.questions import ClaimQuestions
from vapo.models.tree.packed import Question, TokenTree
from vapo.types import Anchor, Claim, Probe, Rollout, Sample


@dataclass(frozen=True, slots=True)
class Work:
    """One point of a grid.

    Attributes:
        group: completions of the prompt.
        probes: questions asked of each completion.
        image_tokens: tokens of the prompt's one image.
        completion_tokens: tokens of each completion; all have the same, so that rows need no padding.
    """

    group: int = 8
    probes: int = 20
    image_tokens: int = 256
    completion_tokens: int = 256

    def __str__(self) -> str:
        return f"i{self.image_tokens},c{self.completion_tokens},G{self.group},K{self.probes}"


def make_rollouts(processor: Any, work: Work, seed: int = 0) -> list[Rollout]:
    """Return a group's rollouts; their completions are text in the tokenizer's own tokens, cut at the length asked."""
    rng = np.random.default_rng(seed)
    claims = tuple(Claim(write_claim(rng), bool(rng.integers(2))) for _ in range(20))
    sample = Sample("work", (_make_image(rng, work.image_tokens),), QUESTION, "42", claims)
    messages = [{"role": "user", "content": [{"type": "image", "image": sample.images[0]}, text_part(QUESTION)]}]
    encoded = processor.apply_chat_template(
        [messages], add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    prompt_ids = tuple(encoded["input_ids"][0].tolist())
    return [_make_rollout(processor.tokenizer, sample, prompt_ids, work, rng) for _ in range(work.group)]


def text_part(text: str) -> dict[str, str]:
    """Return text as a part of a message."""
    return {"type": "text", "text": text}


def make_probes(rollouts: list[Rollout], work: Work, seed: int = 0) -> list[Probe]:
    """Return each rollout's probes, at anchors drawn at random and sorted."""
    rng = np.random.default_rng([seed, 1])
    probes: list[Probe] = []
    for rollout in rollouts:
        length = len(rollout.completion_ids)
        anchors = np.sort(rng.integers(1, length + 1, work.probes))
        claims = rng.integers(len(rollout.sample.claims), size=work.probes)
        probes += [
            Probe(rollout, Anchor(int(anchor), anchor / length), rollout.sample.claims[claim])
            for anchor, claim in zip(anchors, claims, strict=True)
        ]
    return probes


def grow_tree(processor: Any, rollouts: list[Rollout], probes: list[Probe]) -> TokenTree:
    """Return the tree of a group, with its whole completions, as the trainer grows it."""
    questions = ClaimQuestions(processor.tokenizer)
    place = {id(rollout): number for number, rollout in enumerate(rollouts)}
    return TokenTree(
        rollouts[0].prompt_ids,
        process_images(processor, rollouts[0].sample.images),
        tuple(rollout.completion_ids for rollout in rollouts),
        tuple(Question(place[id(p.rollout)], p.anchor.index, questions.encode(p.claim.text)) for p in probes),
    )


def _make_image(rng: np.random.Generator, image_tokens: int) -> Image.Image:
    rows = math.isqrt(image_tokens)
    while image_tokens % rows:
        rows -= 1
    height, width = rows * PIXELS_PER_TOKEN_SIDE, image_tokens // rows * PIXELS_PER_TOKEN_SIDE
    return Image.fromarray(rng.integers(0, 255, (height, width, 3)).astype("uint8"))


def _make_rollout(
    tokenizer: Any, sample: Sample, prompt_ids: tuple[int, ...], work: Work, rng: np.random.Generator
) -> Rollout:
    sentences: list[str] = []
    while 5 * len(sentences) < work.completion_tokens + 5:  # a sentence has more than five tokens
        sentences.append(write_thought(rng))
    ids = tuple(tokenizer.encode(" ".join(sentences), add_special_tokens=False)[: work.completion_tokens])
    assert len(ids) == work.completion_tokens
    return Rollout(sample, prompt_ids, ids, tuple(tokenizer.decode([i]) for i in ids))
