from tiny_models import build_tiny

from vapo.models.policy.response_texts import spell_tokens


def test_text_that_tokens_share():
    """A character of three bytes, cut behind the first: its text comes with the last."""
    tokenizer = build_tiny("llava")[1].tokenizer
    before = tokenizer.encode("some words that stand before it", add_special_tokens=False)
    ids = tokenizer.encode("€", add_special_tokens=False)
    assert len(ids) == 3
    assert spell_tokens(tokenizer, ids[1:], [*before, ids[0]]) == ("", "€")
    assert spell_tokens(tokenizer, ids) == ("", "", "€")


def test_special_tokens_add_no_text():
    tokenizer = build_tiny("llava")[1].tokenizer
    assert spell_tokens(tokenizer, [tokenizer.eos_token_id]) == ("",)
