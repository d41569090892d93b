"""Small tokenizers of the two kinds that vision-language models use, trained on the spot."""

import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

CORPUS = [
    "<think>\nThe picture shows 3 circles, 12 squares and a cat.png; I count them: 3 + 12 = 15.\n\n",
    "So the area is 3.14 * 1,000 = 3,140 cm². Wait... is it right? Yes! At 12:30, e.g., Dr. Smith said so.\n",
    "</think>\n\nThe answer is \\boxed{15}.",
    "图中有三个圆，十二个方块。所以一共是十五个！对吗？是的；答案：15、16。",
    "Smile 😀😀 and 👩‍👩‍👧 and 🇩🇪, naïve café — “quoted,” she said.”",
    "Привет, мир! Сколько кругов? Ответ: 15.",
    "x, y; z: w! v? u. \t end\r\n",
] * 3


class Tok(NamedTuple):
    encode: Callable[[str], list[int]]
    decode: Callable[[Sequence[int]], str]
    size: int
    special: int


def _wrap(tokenizer: Tokenizer) -> Tok:
    tokenizer.add_special_tokens(["<|im_end|>"])
    tokenizer.add_tokens([AddedToken("<think>", special=False), AddedToken("</think>", special=False)])
    return Tok(
        encode=lambda text: tokenizer.encode(text, add_special_tokens=False).ids,
        decode=lambda ids: tokenizer.decode(list(ids), skip_special_tokens=True),
        size=tokenizer.get_vocab_size(),
        special=tokenizer.token_to_id("<|im_end|>"),
    )


def _byte_level(split: bool, vocab_size: int) -> Tok:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=split)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=vocab_size, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
        ),
    )
    return _wrap(tokenizer)


def _sentencepiece() -> Tok:
    """Unigram over "▁"-marked words, bytes for what is unknown, a leading space stripped: as Llama's tokenizer."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="never", split=True)
    tokenizer.train_from_iterator(
        [text for text in CORPUS if text.isascii()],
        trainers.UnigramTrainer(vocab_size=300, show_progress=False, unk_token="<unk>", special_tokens=["<unk>"]),
    )
    model = json.loads(tokenizer.to_str())
    model["model"]["vocab"] += [[f"<0x{byte:02X}>", -20.0] for byte in range(256)]
    model["model"]["byte_fallback"] = True
    tokenizer = Tokenizer.from_str(json.dumps(model))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return _wrap(tokenizer)


@pytest.fixture(scope="session")
def tokenizers() -> dict[str, Tok]:
    return {
        "byte_level": _byte_level(True, 420),
        # Without the split into words, merges run across punctuation, spaces and the bytes of neighbouring characters.
        "byte_level_unsplit": _byte_level(False, 700),
        "sentencepiece": _sentencepiece(),
    }


@pytest.fixture(scope="session", params=["byte_level", "byte_level_unsplit", "sentencepiece"])
def tok(request: pytest.FixtureRequest, tokenizers: dict[str, Tok]) -> Tok:
    return tokenizers[request.param]
