"""A tokenizer in which the ids that TRL's tests write out by hand mean what their comments say.

Tests of tools put Qwen3's ids into the mouth of a mocked `generate`. The ids are those of the published tokenizer; a
word that neither they nor the chat template's roles need, and that is more than a letter, is unknown.
"""

from __future__ import annotations

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

SPECIAL_TOKENS = {
    151643: "<|endoftext|>",
    151644: "<|im_start|>",
    151645: "<|im_end|>",
    151652: "<|vision_start|>",
    151653: "<|vision_end|>",
    151655: "<|image_pad|>",
    151656: "<|video_pad|>",
}
TOOL_TOKENS = {151657: "<tool_call>", 151658: "</tool_call>"}
"""They are tokens of their own, but part of the text: decoding does not skip them."""

PIECES = {
    293: " b",
    314: " {",
    330: ' "',
    397: ">\n",
    411: "out",
    450: "de",
    497: '",',
    522: "</",
    606: "name",
    788: '":',
    872: "user",
    894: " any",
    902: " no",
    927: "sh",
    944: "'t",
    1318: "text",
    1414: " know",
    1513: " don",
    2152: "no",
    2308: " No",
    2753: "No",
    2765: " won",
    4913: '{"',
    5212: ' {"',
    5392: " tool",
    6023: "hi",
    6659: "call",
    7414: " Yes",
    7692: "async",
    8948: "system",
    9454: "Yes",
    9520: "step",
    9693: "yes",
    9834: " yes",
    11248: "}}\n",
    13477: "crement",
    14172: "tool",
    16252: " increment",
    16370: "arguments",
    17453: "Done",
    22785: "_tool",
    35744: "increment",
    64648: "multiply",
    77091: "assistant",
    93054: "_multiply",
    95642: '"}}\n',
}
UNKNOWN = 300
VOCABULARY_SIZE = max(TOOL_TOKENS) + 1


def qwen_tokenizer(chat_template: str) -> PreTrainedTokenizerFast:
    """Return the tokenizer; bytes have the ids that Qwen's, like GPT-2's, gives them."""
    letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    spelled = {"".join(word for word, _ in letters.pre_tokenize_str(text)): i for i, text in PIECES.items()}
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    markers = {text: i for i, text in (SPECIAL_TOKENS | TOOL_TOKENS).items()}
    vocabulary = {letter: i for i, letter in enumerate(alphabet)} | spelled | markers
    taken = {*vocabulary.values(), UNKNOWN}
    others = {
        f"<{i}>": i for i in range(VOCABULARY_SIZE) if i not in taken
    }  # so that whatever is sampled is told apart
    words = Tokenizer(models.WordLevel(vocabulary | others | {"<unk>": UNKNOWN}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    words.add_special_tokens(list(SPECIAL_TOKENS.values()))
    words.add_tokens(list(TOOL_TOKENS.values()))
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token="<unk>",
        padding_side="left",
        extra_special_tokens={"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"},
        chat_template=chat_template,
    )
