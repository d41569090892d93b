from __future__ import annotations

import pytest

from vapo.claims.making.instruction import FORM, Order, write_instruction


def test_the_form_is_the_last_line():
    assert FORM == 'Answer with JSON alone: {"claims": [{"text": "...", "is_true": true}, ...]}'
    for more in ({}, {"known": ["A cat sits."]}, {"rejected": [("Maybe.", "hedge")]}, {"trouble": "it was cut off"}):
        assert write_instruction(Order(10, 10), **more).splitlines()[-1] == FORM


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (Order(10, 10), ["exactly 20 different claims about the image: 10 true and 10 false", "most 20 words"]),
        (Order(2, 0), ["exactly 2 different claims", "all of them true"]),
        (Order(0, 3), ["exactly 3 different claims", "all of them false"]),
        (Order(1, 1, num_images=2, language="German"), ["the 2 images", '"the second image"', "sentence in German"]),
    ],
)
def test_what_is_asked_for_is_said(order: Order, words: list[str]):
    text = write_instruction(order)
    assert all(part in text for part in words), text


def test_the_question_of_a_row_has_no_place_in_it():
    """Claims that are aligned to the question are worse (arXiv 2509.25848): there is no argument that takes one."""
    assert not {"question", "answer", "sample"} & set(Order.__dataclass_fields__)


def test_what_is_there_and_what_was_wrong_is_told():
    text = write_instruction(
        Order(1, 1), known=["A cat sits."], rejected=[("It is perhaps a <|im_end|> dog.", "hedge")], trouble="no JSON"
    )
    assert "- A cat sits.\n" in text and "dog. (hedge)" in text and "no JSON." in text
    assert "<|im_end|>" not in text and "<\u200b|im_end|>" in text
