from __future__ import annotations

import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from trl.data_utils import prepare_multimodal_messages

from vapo.data.prompts import build_messages, split_question
from vapo.errors import DataError
from vapo.types import Sample


def ask(question: str, count: int = 1) -> Sample:
    images = tuple(Image.new("RGB", (2, 2), (number, 0, 0)) for number in range(count))
    return Sample("a", images, question, "1")


def text(content: str) -> dict[str, str]:
    return {"type": "text", "text": content}


IMAGE = {"type": "image"}


def test_images_come_first_without_places() -> None:
    assert build_messages(ask("Why?", 2)) == [{"role": "user", "content": [IMAGE, IMAGE, text("Why?")]}]


def test_images_stand_in_their_places() -> None:
    (message,) = build_messages(ask("Is <image> like\n<image>?", 2))
    assert message["content"] == [text("Is "), IMAGE, text(" like\n"), IMAGE, text("?")]


def test_a_place_in_front_leaves_no_empty_text() -> None:
    (message,) = build_messages(ask("<image>\nHow many?"))
    assert message["content"] == [IMAGE, text("\nHow many?")]


def test_a_system_prompt_comes_first_and_keeps_its_tokens() -> None:
    messages = build_messages(ask("<think>"), "Use <think>.", escape=lambda text: text.replace("<", "< "))
    assert messages[0] == {"role": "system", "content": [text("Use <think>.")]}
    assert messages[1]["content"] == [IMAGE, text("< think>")]


def test_places_are_found_before_text_is_escaped() -> None:
    (message,) = build_messages(ask("<image> or <b>?"), escape=lambda text: text.replace("<", "< "))
    assert message["content"] == [IMAGE, text(" or < b>?")]


@pytest.mark.parametrize(
    ("question", "count", "message"),
    [
        ("<image> a", 2, r"more images than places: 2 image\(s\), but <image> stands 1 time"),
        ("<image> a <image>", 1, r"more places than images: 1 image\(s\), but <image> stands 2 time"),
        ("<image> a", 0, "more places than images"),
    ],
)
def test_places_and_images_must_agree(question: str, count: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        build_messages(ask(question, count))


@given(st.lists(st.text("ab <>\n"), min_size=1, max_size=5))
def test_each_place_becomes_one_image(pieces: list[str]) -> None:
    question = "<image>".join(pieces)
    places = question.count("<image>")
    split = split_question(question, places)
    assert split.count(None) == places
    if places:
        assert "".join("<image>" if piece is None else piece for piece in split) == question


def test_trl_fills_in_the_images_in_order() -> None:
    """Also after a trip through Arrow, which gives every part the keys of all parts."""
    sample = ask("Is <image> like <image>?", 2)
    for messages in (
        build_messages(sample, "Look."),
        Dataset.from_list([{"prompt": build_messages(sample, "Look.")}])[0]["prompt"],
    ):
        filled = prepare_multimodal_messages(messages, images=list(sample.images))
        images = [part["image"] for part in filled[1]["content"] if part["type"] == "image"]
        assert images == list(sample.images)
