"""A sample as messages of the chat protocol that OpenAI-compatible servers share, pictures included."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from vapo.data.prompts import PLACE, build_messages
from vapo.types import Sample

if TYPE_CHECKING:
    from PIL.Image import Image

Message = dict[str, Any]


def write_conversation(
    sample: Sample, system_prompt: str | None, neutralise: Callable[[str], str] | None
) -> list[Message]:
    """Return the conversation that asks a sample's question, with its pictures as data URLs, without loss.

    Args:
        sample: the sample.
        system_prompt: text of a system message; None for none.
        neutralise: see `vapo.models.plain_text`.

    Raises:
        DataError: the question's `<image>` places do not fit its images.
    """
    pictures = iter(show_pictures(sample.images))
    messages = build_messages(sample, system_prompt, neutralise)
    return [
        {**message, "content": [next(pictures) if part["type"] == "image" else part for part in message["content"]]}
        for message in messages
    ]


def write_turn(sample: Sample, number: int, words: str) -> Message:
    """Return the user turn that shows a question's pictures again.

    Args:
        sample: its question has a place for each of its own pictures; behind these come those that are shown again,
            as many for each turn.
        number: of the turn, from 1.
        words: text behind the pictures.
    """
    count = sample.question.count(PLACE)
    pictures = show_pictures(sample.images[number * count : (number + 1) * count])
    return {"role": "user", "content": [*pictures, {"type": "text", "text": words}]}


def count_turns(sample: Sample) -> int:
    """Return how many turns of a sample show its pictures again."""
    return len(sample.images) // sample.question.count(PLACE) - 1


def show_pictures(images: Sequence[Image]) -> list[dict[str, Any]]:
    """Return pictures as parts of a message."""
    return [{"type": "image_url", "image_url": {"url": write_data_url(image)}} for image in images]


def write_data_url(image: Image) -> str:
    """Return a picture as a data URL, without loss."""
    buffer = BytesIO()
    image.save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
