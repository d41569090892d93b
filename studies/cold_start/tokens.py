"""The lab's tokenizer and processor: byte-level BPE trained on the lab's own text, Qwen's special tokens, ChatML."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from vapo.lab.cell_names import MAX_LINES, cell_name
from vapo.lab.claims import make_claims, write_claims
from vapo.lab.questions import LATE, LINES, ask, ask_claim
from vapo.lab.world import CELL, draw_scene
from vapo.models.questions import PROBE_TEMPLATE

from .model import LabProcessor, LabTokenizer
from .responses import CHECKS, write_exercise, write_response

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>")
"""Tokens that only a template may write."""

THINK_TOKENS = ("<think>", "</think>")
"""Added but not special, as in Qwen3: they stay in decoded text."""

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message.role + '\\n' -}}"
    "{%- if message.content is string -%}{{- message.content -}}"
    "{%- else -%}{%- for part in message.content -%}"
    "{%- if part.type == 'image' -%}{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}"
    "{%- elif part.type == 'text' -%}{{- part.text -}}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}"
    "{{- '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)
"""ChatML, as Qwen writes it; an image part becomes one image token between its marks, which the processor expands."""

_EXTRA_TEXT = "user\n assistant\n system\n yes no Yes No YES NO A B C D E F U V W X Y Z =? - ( ) \\boxed{ }"


def write_corpus(*, seed: int, scenes: int = 150) -> list[str]:
    """Write the text the tokenizer is trained on: questions, responses of both kinds, and claims put as probes."""
    rng = np.random.default_rng([seed, 1])
    names = [cell_name(row, column) for row in range(MAX_LINES) for column in range(MAX_LINES)]
    corpus = [_EXTRA_TEXT] * 40 + [name + " " + name for name in names] * 150
    for _ in range(scenes):
        rows, columns = (int(side) for side in rng.integers(2, 5, size=2))
        grid = draw_scene(rng, rows, columns, "train").grid
        for kind in LINES + LATE:
            question = ask(rng, grid, kind)
            looks = int(rng.integers(CHECKS + 1))
            corpus += [question.text, write_response(rng, grid, question, guess=bool(rng.integers(2)), looks=looks)]
        for kind in ("glance", "list"):
            question = ask(rng, grid, kind)
            corpus += [question.text, write_exercise(question)]
        for claim in make_claims(rng, grid, number=2):
            corpus += [" ".join(ask_claim(claim)), write_claims([claim])]
        for claim in make_claims(rng, grid, number=8):
            corpus.append(PROBE_TEMPLATE.format(claim=claim.text) + (" yes" if claim.is_true else " no"))
    return corpus


def train_tokenizer(*, seed: int, vocabulary: int = 640) -> LabTokenizer:
    """Train the tokenizer; `vocabulary` bounds its size, special tokens included.

    Raises ValueError if " yes", " no" or the name of a cell did not become one token.
    """
    from tokenizers import AddedToken, Tokenizer
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from tokenizers.trainers import BpeTrainer
    from transformers import Qwen2Tokenizer

    backend = Tokenizer(BPE())
    backend.normalizer = Qwen2Tokenizer().backend_tokenizer.normalizer
    backend.pre_tokenizer = Qwen2Tokenizer().backend_tokenizer.pre_tokenizer
    added = len(SPECIAL_TOKENS) + len(THINK_TOKENS)
    trainer = BpeTrainer(
        vocab_size=vocabulary - added,
        min_frequency=2,
        initial_alphabet=sorted(ByteLevel.alphabet()),
        show_progress=False,
    )
    corpus = [text.replace("<think>", "").replace("</think>", "") for text in write_corpus(seed=seed)]
    backend.train_from_iterator(corpus, trainer)
    model = json.loads(backend.to_str())["model"]
    make_tokenizer: Any = Qwen2Tokenizer
    tokenizer = make_tokenizer(
        vocab=model["vocab"],
        merges=[tuple(merge) for merge in model["merges"]],
        unk_token=None,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=[token for token in SPECIAL_TOKENS if token not in ("<|im_end|>", "<|endoftext|>")],
        padding_side="left",
        model_max_length=2048,
    )
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in THINK_TOKENS])
    tokenizer.chat_template = CHAT_TEMPLATE
    names = [cell_name(row, column) for row in range(MAX_LINES) for column in range(MAX_LINES)]
    for word in (" yes", " no", *names, *(f" {name}" for name in names)):
        if len(tokenizer.encode(word)) != 1:
            raise ValueError(f"the tokenizer splits {word!r}; give it more text or a larger vocabulary")
    return tokenizer


def build_processor(tokenizer: LabTokenizer, *, canvas: int) -> LabProcessor:
    """Join the tokenizer with an image processor for images of `canvas` pixels a side; it needs no torchvision."""
    from transformers import LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    side = {"height": canvas, "width": canvas}
    images = CLIPImageProcessorPil(
        size=side, crop_size=side, do_center_crop=False, image_mean=[0.5, 0.5, 0.5], image_std=[0.5, 0.5, 0.5]
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=CELL,
        vision_feature_select_strategy="full",
        num_additional_image_tokens=0,
        image_token="<|image_pad|>",
        chat_template=CHAT_TEMPLATE,
    )
