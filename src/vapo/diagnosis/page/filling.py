"""What fills a page: its summary, and as many chains and pictures as there is room for."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any
from zlib import compress

from PIL import Image

from vapo.diagnosis.page.frame import Frame, join_page
from vapo.diagnosis.page.pictures import PictureSheet

MAX_BYTES = 4_900_000
"""Of the whole page: it can still be mailed, and opens at once."""

_FOR_PICTURES = 0.4  # share of the room behind the code; what chains do not need goes to pictures as well


def fill_page(
    frame: Frame,
    summary: Any,
    questions: list[dict[str, Any]],
    images: Mapping[str, Sequence[Image.Image]],
    max_bytes: int = MAX_BYTES,
) -> str:
    """Return a page of at most `max_bytes`.

    Pictures are shrunk to fit. Where there are more chains than fit, the inspector gets the first ones and the page
    says how many are left out.

    Args:
        frame: the kind of page.
        summary: plain values, always whole.
        questions: with their chains, see `vapo.diagnosis.page.chains`.
        images: of each question, by the row's id; a question without an entry is shown without a picture.
        max_bytes: enough for the frame and the summary.
    """
    bare = join_page(frame, {"summary": summary, "pictures": [], "chains": "", "num_chains_left_out": 0})
    room = max_bytes - len(bare) - 1000 - 20 * len(questions)  # keys, places of pictures
    # Pictures are looked up one at a time: `images` may open files. The first question tells how many each has.
    per_question = max((len(images.get(question["id"], ())) for question in questions[:1]), default=0)
    num_shown, packed = _fit_chains(questions, int(room * (1 - _FOR_PICTURES if images else 1)))
    sheet = PictureSheet(room - len(packed), num_shown * max(1, per_question))
    places = [[sheet.add(picture) for picture in images.get(one["id"], ())] for one in questions[:num_shown]]
    return join_page(
        frame,
        {
            "summary": summary,
            "pictures": sheet.uris,
            "places": places,
            "chains": packed,
            "num_chains_left_out": len(questions) - num_shown,
            "num_pictures_left_out": sheet.num_left_out,
        },
    )


def pack_data(value: Any) -> str:
    """Return JSON, compressed and in base64: chains of thousands of tokens at a fifth of their size."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return b64encode(compress(text.encode("ascii"), 9)).decode("ascii")


def _fit_chains(questions: list[dict[str, Any]], max_bytes: int) -> tuple[int, str]:
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
