from __future__ import annotations

import copy
import logging
import pickle
from types import SimpleNamespace

import pytest
from think_tokens import save_with_think_tokens
from tiny_models import tiny_tokenizer
from transformers import AutoTokenizer

from vapo.core.boundaries import THINK_TAGS
from vapo.errors import ConfigError, ModelError
from vapo.models.plain_text import make_escaper
from vapo.models.policy.checkpoint import load_processor
from vapo.models.policy.checkpoint_embeddings import opened_embeddings
from vapo.models.think_tags import (
    adopt_think_tags,
    check_think_tags,
    decide_think_tags,
    read_think_tags,
    spell_usual_tags,
)

TEXT = "<|im_start|>a<think>one, two.</think> three"


def make_tokenizer(special: bool = False):
    tokenizer = copy.deepcopy(tiny_tokenizer())
    tokenizer.add_tokens(list(THINK_TAGS), special_tokens=special)
    tokenizer.add_tokens(["<after>"])
    return tokenizer


@pytest.mark.parametrize("option", ["auto", "tokenizer", "text"])
def test_three_options_stand_for_the_usual_tags(option):
    assert read_think_tags(option) == THINK_TAGS


def test_a_pair_is_two_different_tags():
    assert read_think_tags("<reason>  </reason>") == ("<reason>", "</reason>")
    for wrong in ("", "plain", "<a> <a>", "<a> <b> <c>"):
        with pytest.raises(ConfigError, match=r"think_tags is .*it must be 'auto', 'tokenizer', 'text', or two"):
            read_think_tags(wrong)


@pytest.mark.parametrize("special", [False, True])
def test_as_plain_text_tags_are_no_tokens_and_no_other_token_moves(special):
    tokenizer = make_tokenizer(special)
    others = {token: number for token, number in tokenizer.get_vocab().items() if token not in THINK_TAGS}
    tags = tokenizer.convert_tokens_to_ids(list(THINK_TAGS))
    if special:
        with pytest.raises(ModelError, match="as special"):
            check_think_tags(tokenizer)
    assert adopt_think_tags("text", tokenizer) == THINK_TAGS
    ids = tokenizer.encode(TEXT)
    assert not set(tags) & set(ids) and tokenizer.decode(ids) == TEXT
    assert others.items() <= tokenizer.get_vocab().items() and len(tokenizer) == len(others) + 2
    check_think_tags(tokenizer)
    assert "<think>" not in tokenizer.decode(tags)


@pytest.mark.parametrize("how", ["saved", "copied", "pickled"])
def test_the_change_stays_with_the_tokenizer(how, tmp_path):
    tokenizer = make_tokenizer()
    adopt_think_tags("text", tokenizer)
    match how:
        case "saved":
            tokenizer.save_pretrained(tmp_path)
            other = AutoTokenizer.from_pretrained(tmp_path)
        case "copied":
            other = copy.deepcopy(tokenizer)
        case _:
            other = pickle.loads(pickle.dumps(tokenizer))
    assert other.encode(TEXT) == tokenizer.encode(TEXT) and other.get_vocab() == tokenizer.get_vocab()


@pytest.mark.parametrize("option", ["auto", "tokenizer", "<a> </a>"])
def test_other_options_change_no_tokenizer(option):
    tokenizer = make_tokenizer()
    adopt_think_tags(option, tokenizer)
    assert tokenizer.get_vocab() == make_tokenizer().get_vocab()


def test_text_twice_is_text_once():
    tokenizer = make_tokenizer()
    adopt_think_tags("text", tokenizer)
    ids = tokenizer.encode(TEXT)
    assert adopt_think_tags("text", tokenizer) == THINK_TAGS and tokenizer.encode(TEXT) == ids


def test_data_cannot_write_the_renamed_token_either():
    tokenizer = make_tokenizer()
    number = tokenizer.convert_tokens_to_ids("<think>")
    adopt_think_tags("text", tokenizer)
    name = tokenizer.convert_ids_to_tokens(number)
    assert tokenizer.encode(name) == [number]
    assert number not in tokenizer.encode(make_escaper(tokenizer)(f"say {name}"))


@pytest.mark.parametrize(("trained", "decided"), [(True, "tokenizer"), (False, "text")])
def test_auto_decides_from_the_checkpoint_and_says_so(trained, decided, tmp_path, caplog):
    folder = save_with_think_tokens(tmp_path / "model", trained=trained)
    tokenizer = load_processor(str(folder)).tokenizer
    with caplog.at_level(logging.WARNING):
        assert decide_think_tags("auto", tokenizer, lambda: opened_embeddings(folder)) == decided
    said = "the tokens <think> and </think> look untrained in this checkpoint"
    assert (said in caplog.text) is not trained


@pytest.mark.parametrize("option", ["tokenizer", "text", "<a> </a>"])
def test_what_is_given_is_not_decided(option):
    assert decide_think_tags(option, make_tokenizer(), lambda: pytest.fail("it was looked at")) == option


def test_without_tokens_for_tags_nothing_is_opened():
    assert decide_think_tags("auto", tiny_tokenizer(), lambda: pytest.fail("it was looked at")) == "tokenizer"


def test_a_tokenizer_in_python_is_refused():
    slow = SimpleNamespace(get_added_vocab=lambda: {"<think>": 7}, is_fast=False)
    with pytest.raises(ModelError, match=r"SimpleNamespace is a tokenizer written in Python, .*set think_tags to"):
        adopt_think_tags("text", slow)


def test_usual_tags_take_the_place_of_others():
    assert spell_usual_tags("<a>b</a>c", ("<a>", "</a>")) == "<think>b</think>c"


def test_a_hidden_tag_is_named_and_what_to_do_about_it():
    check_think_tags(SimpleNamespace(all_special_tokens=["<|im_end|>"], added_tokens_decoder={}))
    hidden = SimpleNamespace(all_special_tokens=["<|im_end|>", "</think>"], added_tokens_decoder={})
    with pytest.raises(ModelError, match=r"treats </think> as special, .*think_tags: text\), or something else$"):
        check_think_tags(hidden, otherwise=", or something else")
    check_think_tags(hidden, ("<a>", "</a>"))
