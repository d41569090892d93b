"""Put a question and its images into the messages that chat templates and TRL read.

`<image>` in a question stands for an image, as many published data sets write it; without it, the images come
first. Images are only marked here, `{"type": "image"}`: TRL's `prepare_multimodal_messages` and vapo's own engines
fill in the images, in order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vapo.errors import DataError
from vapo.types import Sample

if TYPE_CHECKING:
    from vapo.data.row_reader import UnopenedSample

PLACE = "<image>"


def build_messages(
    sample: Sample | UnopenedSample,
    system_prompt: str | None = None,
    escape: Callable[[str], str] | None = None,
) -> list[dict[str, Any]]:
    """Build the conversation that asks a sample's question.

    Every content is a list of parts, so that all rows of a data set have one type.

    Args:
        sample: the sample.
        system_prompt: text of a system message; None for no system message. It is the user's own text and may
            name tokens such as `<think>`: it is not escaped.
        escape: keeps the question from turning into special tokens; see `vapo.models.plain_text`. None leaves
            the question as it is.

    Returns:
        The messages, with one `{"type": "image"}` for each of the sample's images.

    Raises:
        DataError: the question has `<image>` places, but not as many as there are images.
    """
    parts: list[dict[str, Any]] = []
    for text in split_question(sample.question, len(sample.images)):
        if text is None:
            parts.append({"type": "image"})
        else:
            parts.append({"type": "text", "text": escape(text) if escape else text})
    messages: list[dict[str, Any]] = [{"role": "user", "content": parts}]
    if system_prompt is not None:
        messages.insert(0, {"role": "system", "content": [{"type": "text", "text": system_prompt}]})
    return messages


def split_question(question: str, num_images: int) -> list[str | None]:
    """Split a question at its `<image>` places, and leave the text between them as it is.

    Args:
        question: the question.
        num_images: how many images it is about.

    Returns:
        Pieces of text, with None where an image stands; the images first if the question has no places.

    Raises:
        DataError: there are places, but not as many as images.
    """
    pieces = question.split(PLACE)
    num_places = len(pieces) - 1
    if num_places == 0:
        return [*[None] * num_images, question]
    if num_places != num_images:
        more, fewer = ("places", "images") if num_places > num_images else ("images", "places")
        raise DataError(
            f"there are more {more} than {fewer}: {num_images} image(s), but {PLACE} stands {num_places} time(s) in "
            "the question; write it once for each image, or not at all"
        )
    woven: list[str | None] = [pieces[0]]
    for piece in pieces[1:]:
        woven += [None, piece]
    return [piece for piece in woven if piece != ""]
