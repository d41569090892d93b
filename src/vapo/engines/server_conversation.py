"""A sample as messages of the chat protocol that OpenAI-compatible servers share, pictures included."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from vapo.data.prompts import build_messages
from vapo.engines.vllm_server import write_data_url
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


def show_pictures(images: Sequence[Image]) -> list[dict[str, Any]]:
    """Return pictures as parts of a message."""
    return [{"type": "image_url", "image_url": {"url": write_data_url(image)}} for image in images]
