"""Text and tokens agree, whatever the tokens."""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vapo.core.token_texts import split_into_token_texts

TEXTS = [
    "",
    "a",
    " two leading",
    "  ",
    "The picture shows 3 circles, 12 squares.\n\nSo: 3.14!",
    "图中有三个圆，十二个方块。",
    "Smile 😀 and 👩‍👩‍👧!",
    "a genuine \ufffd in the text, and \ufffd\ufffd two",
    "\ufffd",
    "ends in \ufffd",
    "<think>\nyes</think>\n\n\\boxed{1}",
]

no_deadline = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check(ids: Sequence[int], tok) -> None:
    token_texts = split_into_token_texts(ids, tok.decode)
    assert len(token_texts) == len(ids)
    assert "".join(token_texts) == tok.decode(ids)
    for i, text in enumerate(token_texts):
        if text:
            assert tok.decode(ids[: i + 1]) == "".join(token_texts[: i + 1])


@pytest.mark.parametrize("text", TEXTS)
def test_encoded_text(tok, text):
    check(tok.encode(text), tok)


@no_deadline
@given(data=st.data())
def test_random_tokens(tok, data):
    check(data.draw(st.lists(st.integers(0, tok.size - 1), max_size=60)), tok)


@no_deadline
@given(text=st.text(alphabet=st.characters(codec="utf-8"), max_size=40), data=st.data())
def test_encoded_text_with_special_tokens_and_cut_off(tok, text, data):
    ids = tok.encode(text)
    for _ in range(data.draw(st.integers(0, 3))):
        ids.insert(data.draw(st.integers(0, len(ids))), tok.special)
    check(ids[: data.draw(st.integers(0, len(ids)))], tok)


def test_character_belongs_to_the_token_that_completes_it(tokenizers):
    tok = tokenizers["byte_level"]
    ids = tok.encode("é🧮é")
    texts = split_into_token_texts(ids, tok.decode)
    # The abacus is not in the training text, so its four bytes are several tokens; only the last one says it.
    assert len(ids) > 3
    assert [text for text in texts if text] == [*"é🧮é"]


def test_special_tokens_add_nothing(tok):
    ids = [tok.special, *tok.encode("one, two"), tok.special, *tok.encode(" three"), tok.special, tok.special]
    texts = split_into_token_texts(ids, tok.decode)
    assert texts[0] == "" and texts[-2:] == ("", "")
    check(ids, tok)


def test_truncated_character_is_kept(tokenizers):
    tok = tokenizers["byte_level"]
    ids = tok.encode("ok 🧮")[:-1]
    assert "".join(split_into_token_texts(ids, tok.decode)) == tok.decode(ids) == "ok \ufffd"
    check([*ids, tok.special, tok.special], tok)


def test_decoded_tokens_grow_linearly(tok):
    """Counts decoded tokens rather than seconds: at most a few per token, also after a character that never ends."""
    for tail in ("the quick brown fox, 3.14! " * 100, "图中有三个圆。" * 60, "🧮" * 200):
        for stub in ([], tok.encode("🧮")[:-1]):
            ids = [*stub, *tok.encode(tail), *[tok.special] * 500]
            decoded = 0

            def decode(some: Sequence[int]) -> str:
                nonlocal decoded
                decoded += len(some)
                return tok.decode(some)

            split_into_token_texts(ids, decode)
            assert decoded < 16 * len(ids)
