"""Sentences about an image, and a byte-level BPE tokenizer in Qwen's manner that was trained on them.

A claim has about 10 tokens and a probe's question about 24, as with the published tokenizers.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np

from vapo.models.questions import PROBE_TEMPLATE

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for p in m['content'] %}"
    "{% if p['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ p['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QUESTION = "Look at the image. How many things stand left of the window, and what is the sum of their prices?"

COLOURS = [
    "red",
    "blue",
    "green",
    "yellow",
    "black",
    "white",
    "grey",
    "brown",
    "orange",
    "purple",
    "pink",
    "silver",
    "golden",
    "dark",
    "pale",
]
THINGS = [
    "cup",
    "plate",
    "table",
    "chair",
    "lamp",
    "window",
    "door",
    "book",
    "bottle",
    "clock",
    "flower",
    "basket",
    "carpet",
    "mirror",
    "image",
    "shelf",
    "spoon",
    "knife",
    "bowl",
    "cushion",
    "curtain",
    "candle",
    "letter",
    "coin",
    "apple",
    "pear",
    "lemon",
    "bread",
    "cheese",
    "cat",
    "dog",
    "bird",
    "horse",
    "car",
    "bus",
    "train",
    "boat",
    "bicycle",
    "tree",
    "house",
    "bridge",
    "tower",
    "street",
    "garden",
    "field",
    "river",
    "mountain",
    "cloud",
]
PLACES = ("left of", "right of", "in front of", "next to", "on top of", "close to", "far from", "on the side of")
VERBS = ("stands", "lies", "rests", "appears", "sits")
THOUGHTS = ("So", "Now", "Then", "First", "Next", "Here", "Therefore", "However", "Again", "Also")


def write_claim(rng: np.random.Generator) -> str:
    """Return a statement of about ten tokens."""
    thing, other = rng.choice(THINGS, 2, replace=False)
    colour, other_colour = rng.choice(COLOURS, 2)
    return f"The {colour} {thing} {rng.choice(VERBS)} {rng.choice(PLACES)} the {other_colour} {other}."


def write_thought(rng: np.random.Generator) -> str:
    """Return a sentence such as a chain of thought is made of."""
    left, right = rng.integers(2, 60, 2)
    claim = write_claim(rng)
    if rng.random() < 0.3:
        return f"{rng.choice(THOUGHTS)}, {left} + {right} = {left + right}."
    return f"{rng.choice(THOUGHTS)}, t{claim[1:]}"


@cache
def train_tokenizer() -> Any:
    """Return the tokenizer; always the same one."""
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from tokenizers.trainers import BpeTrainer
    from transformers import Qwen2Tokenizer

    rng = np.random.default_rng(0)
    corpus = [QUESTION, "user\n assistant\n yes no Yes No YES NO"] * 50
    for _ in range(1500):
        corpus += [write_thought(rng), PROBE_TEMPLATE.format(claim=write_claim(rng)) + " yes no"]
    make_tokenizer: Any = Qwen2Tokenizer
    published = make_tokenizer().backend_tokenizer
    backend: Any = Tokenizer(BPE())
    backend.normalizer, backend.pre_tokenizer = published.normalizer, published.pre_tokenizer
    trainer: Any = BpeTrainer
    backend.train_from_iterator(
        corpus,
        trainer(
            vocab_size=1024 - len(SPECIAL_TOKENS),
            min_frequency=2,
            initial_alphabet=sorted(ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    learnt = json.loads(backend.to_str())["model"]
    tokenizer = make_tokenizer(
        vocab=learnt["vocab"],
        merges=[tuple(merge) for merge in learnt["merges"]],
        unk_token=None,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=[token for token in SPECIAL_TOKENS if token not in ("<|im_end|>", "<|endoftext|>")],
        padding_side="left",
        model_max_length=32768,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    # The names under which Qwen's processor asks for them.
    for role in ("image", "video"):
        setattr(tokenizer, f"{role}_token", f"<|{role}_pad|>")
        setattr(tokenizer, f"{role}_token_id", tokenizer.convert_tokens_to_ids(f"<|{role}_pad|>"))
    return tokenizer
