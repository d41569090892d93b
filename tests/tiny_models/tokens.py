"""What the tiny models share: a tokenizer, a chat template and the measures of their language models."""

from __future__ import annotations

from functools import cache

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

SPECIAL_TOKENS = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
QWEN_ROLES = (("image_token", "<|image_pad|>"), ("video_token", "<|video_pad|>"))
QWEN_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
CORPUS = [
    "Look at the picture. The digit in row 1, column 2 is 7; the sum of 3 and 4 is 7.",
    "<think>I see a 3, then a 5. So 3 + 5 = 8!</think> The answer is \\boxed{8}.",
    "Is this claim correct? Answer (yes/no): yes no Yes No. <anchor> There are two cats: one is black.",
] * 20
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}


def chat_template(image: str) -> str:
    """Return a chat template that writes `image` where a message has an image."""
    return (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
        "{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for p in m['content'] %}"
        "{% if p['type'] == 'image' %}" + image + "{% else %}{{ p['text'] }}{% endif %}"
        "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


@cache
def tiny_tokenizer(
    markers: tuple[str, ...] = (),
    roles: tuple[tuple[str, str], ...] = QWEN_ROLES,
    image: str = QWEN_IMAGE,
    bos: str | None = None,
) -> PreTrainedTokenizerFast:
    """A byte-level BPE with Qwen's special tokens and a chat template.

    Args:
        markers: a family's own special tokens, whose ids follow those that all families share.
        roles: names under which the family's processor asks the tokenizer for them, such as `image_token`.
        image: what the chat template writes for an image.
        bos: a token that begins every text: as published, the tokenizer adds it, and the chat template writes it too.
    """
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet))
    bpe.add_special_tokens(["<|im_end|>", "<|endoftext|>", *(token for _, token in QWEN_ROLES)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        padding_side="left",
        extra_special_tokens=dict(roles),
    )
    tokenizer.add_special_tokens({"additional_special_tokens": [*SPECIAL_TOKENS, *markers]})
    tokenizer.chat_template = chat_template(image)
    if bos is not None:
        tokenizer.add_special_tokens({"bos_token": bos})
        tokenizer.chat_template = "{{ bos_token }}" + tokenizer.chat_template
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokenizer.bos_token_id)]
        )
    return tokenizer


def text_options(tokenizer: PreTrainedTokenizerFast, **extra: object) -> dict[str, object]:
    """Return the options of a two-layer language model over the tokenizer's vocabulary."""
    return {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": True,
        "vocab_size": len(tokenizer) + 4,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        **extra,
    }


def sliding(window: int) -> dict[str, object]:
    """Return the options of Qwen's language models that make the first layer see `window` tokens back."""
    return {
        "use_sliding_window": True,
        "sliding_window": window,
        "layer_types": ["sliding_attention", "full_attention"],
    }
