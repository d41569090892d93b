from __future__ import annotations

import pytest
from tiny_models import tiny_tokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from vapo.errors import ConfigError, ModelError
from vapo.models.questions import PROBE_TEMPLATE, ClaimQuestions, find_answer_tokens

QUESTION = "The sky is blue. Is this claim correct? Answer (yes/no):"


def metaspace_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of the SentencePiece kind: words carry their space as a leading mark."""
    unigram = Tokenizer(models.BPE())
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    unigram.decoder = decoders.Metaspace()
    texts = [f"{QUESTION} yes", f"{QUESTION} no", f"{QUESTION} Yes", f"{QUESTION} No"] * 20
    unigram.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=200))
    return PreTrainedTokenizerFast(tokenizer_object=unigram)


def byte_tokenizer(*words: str) -> PreTrainedTokenizerFast:
    """A tokenizer of the GPT-2 kind that knows single bytes, and words with what they begin with."""
    pieces = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = list(dict.fromkeys((word[:end], word[end]) for word in words for end in range(1, len(word))))
    vocabulary = dict.fromkeys([*pieces, *map("".join, merges)])
    bpe = Tokenizer(models.BPE({piece: number for number, piece in enumerate(vocabulary)}, merges))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=bpe)


def texts_of(tokenizer, ids) -> set[str]:
    return {tokenizer.convert_ids_to_tokens(i) for i in ids}


class TestAnswerTokens:
    def test_byte_level_bpe(self):
        tokenizer = tiny_tokenizer()
        answers = find_answer_tokens(tokenizer, QUESTION)
        assert {"Ġyes", "ĠYes"} <= texts_of(tokenizer, answers.yes)
        assert {"Ġno", "ĠNo"} <= texts_of(tokenizer, answers.no)
        assert not set(answers.yes) & set(answers.no)
        assert tokenizer.encode(" ")[0] not in answers.yes + answers.no

    def test_metaspace(self):
        tokenizer = metaspace_tokenizer()
        answers = find_answer_tokens(tokenizer, QUESTION)
        assert "▁yes" in texts_of(tokenizer, answers.yes) and "▁no" in texts_of(tokenizer, answers.no)

    @pytest.mark.parametrize("words", [("Ġyes", "Ġno"), ("Ġyes", "ĠYes", "Ġno", "no"), ("yes", "ĠNO"), ("YES", "NO")])
    def test_spellings_that_split_are_left_out(self, words):
        """Of " Yes" in several tokens, the first piece would count " You" as yes."""
        tokenizer = byte_tokenizer(*words)
        answers = find_answer_tokens(tokenizer, QUESTION)
        assert texts_of(tokenizer, answers.yes) | texts_of(tokenizer, answers.no) == set(words)

    @pytest.mark.parametrize(
        ("words", "missing"), [((), "'yes' and 'no'"), (("Ġyes", "Ġn"), "'no'"), (("Ġno", "ye"), "'yes'")]
    )
    def test_a_tokenizer_that_splits_every_spelling_is_refused(self, words, missing):
        with pytest.raises(ModelError, match=f"writes {missing} in several tokens after .*one token"):
            find_answer_tokens(byte_tokenizer(*words), QUESTION)

    @pytest.mark.parametrize("known", [{}, {"yes": 1}])
    def test_what_stands_for_unknown_words_is_no_answer(self, known):
        words = Tokenizer(models.WordLevel({"[UNK]": 0, **known}, unk_token="[UNK]"))
        words.pre_tokenizer = pre_tokenizers.Whitespace()
        with pytest.raises(ModelError, match="in several tokens"):
            find_answer_tokens(PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]"), QUESTION)


class TestClaimQuestions:
    def test_the_question_is_the_template_with_the_claim_and_ends_without_space(self):
        tokenizer = tiny_tokenizer()
        text = tokenizer.decode(ClaimQuestions(tokenizer).encode(" two dogs {sit} "))
        assert text == PROBE_TEMPLATE.replace("{claim}", "two dogs {sit}") and text == text.rstrip()

    def test_claims_cannot_become_special_tokens(self):
        tokenizer = tiny_tokenizer()
        ids = ClaimQuestions(tokenizer).encode("a sign says <|im_end|><|image_pad|> <|vision_start|>")
        assert not set(ids) & set(tokenizer.all_special_ids)
        assert "image_pad" in tokenizer.decode(ids)

    @pytest.mark.parametrize(
        ("template", "claim"),
        [
            ("{claim}|im_end|> Is it?", "a cat <"),
            ("<|im_{claim} Is it?", "end|> a cat"),
            ("<|im_{claim}> Is it?", "end|"),
            ("<|image_{claim}|im_end|> Is it?", "pad|> <"),
        ],
    )
    def test_a_template_and_a_claim_join_into_no_special_token(self, template, claim):
        tokenizer = tiny_tokenizer()
        joined = tokenizer.encode(template.replace("{claim}", claim))
        assert set(joined) & set(tokenizer.all_special_ids)
        ids = ClaimQuestions(tokenizer, template).encode(claim)
        assert not set(ids) & set(tokenizer.all_special_ids)
        assert tokenizer.decode(ids).replace("\u200b", "") == template.replace("{claim}", claim)

    def test_the_templates_own_special_tokens_stay(self):
        tokenizer = tiny_tokenizer()
        template = "<|im_end|>\n<|im_start|>user\n{claim} Is it?<|im_end|>\n<|im_start|>assistant\n"[:-1]
        ids = ClaimQuestions(tokenizer, template).encode("a cat <|im_start|>")
        special = tokenizer.convert_ids_to_tokens([i for i in ids if i in tokenizer.all_special_ids])
        assert special == ["<|im_end|>", "<|im_start|>", "<|im_end|>", "<|im_start|>"]

    @pytest.mark.parametrize("template", ["no place", "{claim} {claim}?", "{claim}? Answer: ", "{claim}?\n"])
    def test_templates_that_cannot_ask_are_refused(self, template):
        with pytest.raises(ConfigError, match="probe template must"):
            ClaimQuestions(tiny_tokenizer(), template)
