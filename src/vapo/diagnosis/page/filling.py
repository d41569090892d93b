"""What fills a page: its summary, and as many responses and images as there is room for."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any
from zlib import compress

from PIL import Image

from vapo.diagnosis.page.frame import Frame, join_page
from vapo.diagnosis.page.images import ImageSheet

MAX_BYTES = 4_900_000
"""Of the whole page: it can still be mailed, and opens at once."""

_FOR_IMAGES = 0.4  # share of the room behind the code; what responses do not need goes to images as well


def fill_page(
    frame: Frame,
    summary: Any,
    questions: list[dict[str, Any]],
    images: Mapping[str, Sequence[Image.Image]],
    max_bytes: int = MAX_BYTES,
) -> str:
    """Return a page of at most `max_bytes`.

    Images are shrunk to fit. Where there are more responses than fit, the inspector gets the first ones and the page
    says how many are left out.

    Args:
        frame: the kind of page.
        summary: plain values, always whole.
        questions: with their responses, see `vapo.diagnosis.page.responses`.
        images: of each question, by the row's id; a question without an entry is shown without an image.
        max_bytes: enough for the frame and the summary.
    """
    bare = join_page(frame, {"summary": summary, "images": [], "responses": "", "num_responses_left_out": 0})
    room = max_bytes - len(bare) - 1000 - 20 * len(questions)  # keys, places of images
    # Images are looked up one at a time: `images` may open files. The first question tells how many each has.
    per_question = max((len(images.get(question["id"], ())) for question in questions[:1]), default=0)
    num_shown, packed = _fit_responses(questions, int(room * (1 - _FOR_IMAGES if images else 1)))
    sheet = ImageSheet(room - len(packed), num_shown * max(1, per_question))
    places = [[sheet.add(image) for image in images.get(one["id"], ())] for one in questions[:num_shown]]
    return join_page(
        frame,
        {
            "summary": summary,
            "images": sheet.uris,
            "places": places,
            "responses": packed,
            "num_responses_left_out": len(questions) - num_shown,
            "num_images_left_out": sheet.num_left_out,
        },
    )


def pack_data(value: Any) -> str:
    """Return JSON, compressed and in base64: responses of thousands of tokens at a fifth of their size."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return b64encode(compress(text.encode("ascii"), 9)).decode("ascii")


def _fit_responses(questions: list[dict[str, Any]], max_bytes: int) -> tuple[int, str]:
    """Return how many of the first questions fit, and those packed."""
    packed = pack_data(questions)
    if len(packed) <= max_bytes:
        return len(questions), packed
    fits, fails = 0, len(questions)
    while fails - fits > 1:
        middle = (fits + fails) // 2
        if len(pack_data(questions[:middle])) <= max_bytes:
            fits = middle
        else:
            fails = middle
    return fits, pack_data(questions[:fits])
