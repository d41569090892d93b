"""A sample as messages of the chat protocol that OpenAI-compatible servers share, images included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vapo.api.images import encode_lossless, make_image_parts
from vapo.data.prompts import PLACE, build_messages
from vapo.types import Sample

Message = dict[str, Any]


def write_conversation(
    sample: Sample, system_prompt: str | None, escape: Callable[[str], str] | None
) -> list[Message]:
    """Return the conversation that asks a sample's question, with its images as data URLs, without loss.

    Args:
        sample: the sample.
        system_prompt: text of a system message; None for none.
        escape: see `vapo.models.plain_text`.

    Raises:
        DataError: the question's `<image>` places do not fit its images.
    """
    parts = iter(make_image_parts([encode_lossless(image) for image in sample.images]))
    messages = build_messages(sample, system_prompt, escape)
    return [
        {**message, "content": [next(parts) if part["type"] == "image" else part for part in message["content"]]}
        for message in messages
    ]


def write_turn(sample: Sample, number: int, words: str) -> Message:
    """Return the user turn that shows a question's images again.

    Args:
        sample: its question has a place for each of its own images; behind these come those that are shown again,
            as many for each turn.
        number: of the turn, from 1.
        words: text behind the images.
    """
    count = sample.question.count(PLACE)
    shown = sample.images[number * count : (number + 1) * count]
    parts = make_image_parts([encode_lossless(image) for image in shown])
    return {"role": "user", "content": [*parts, {"type": "text", "text": words}]}


def count_turns(sample: Sample) -> int:
    """Return how many turns of a sample show its images again."""
    return len(sample.images) // sample.question.count(PLACE) - 1
