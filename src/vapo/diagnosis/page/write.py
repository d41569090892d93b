"""Write the page: template, style, scripts, plotting library, data and pictures, joined into one file."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any
from zlib import compress

from PIL import Image

from vapo.diagnosis.findings import Diagnosis
from vapo.diagnosis.page.chains import describe_questions
from vapo.diagnosis.page.pictures import PictureSheet
from vapo.diagnosis.page.summary import describe_diagnosis
from vapo.engines.run_folder import write_atomically
from vapo.errors import DataError

MAX_BYTES = 4_900_000
"""Of the whole page: it can still be mailed, and opens at once."""

_STYLES = ("uplot/uPlot.min.css", "style.css", "inspector.css")
_SCRIPTS = ("elements.js", "curves.js", "tables.js", "ruler.js", "chain.js", "inspector.js", "page.js")
_LIBRARY, _LICENCE = "uplot/uPlot.iife.min.js", "uplot/LICENSE"
_FOR_PICTURES = 0.4  # share of the room behind the code; what chains do not need goes to pictures as well


def write_page(diagnosis: Diagnosis, images: Mapping[str, Sequence[Image.Image]], path: Path) -> None:
    """Write `diagnosis` as one HTML file that opens offline, of at most `MAX_BYTES`.

    Text from models and data is carried as JSON and shown as text; the page's policy lets no script run but its own,
    and nothing be fetched. Pictures are shrunk to fit. Where there are more chains than fit, the inspector shows the
    first ones and says how many it leaves out; the numbers always cover all of them.

    Args:
        diagnosis: at least one model.
        images: of each question, by the row's id; a question without an entry is shown without a picture.
        path: the file, replaced if it is there.

    Raises:
        DataError: there is no model to show.
        OSError: the file cannot be written; an older one is left as it is.
    """
    write_atomically(path, render_page(diagnosis, images))


def render_page(diagnosis: Diagnosis, images: Mapping[str, Sequence[Image.Image]], max_bytes: int = MAX_BYTES) -> str:
    """Return the page as text; otherwise as `write_page`."""
    if not diagnosis.models:
        raise DataError("there is no model in this diagnosis, so nothing to show; diagnose at least one")
    summary = describe_diagnosis(diagnosis)
    frame = _join({"summary": summary, "pictures": [], "chains": "", "num_chains_left_out": 0})
    questions = describe_questions(diagnosis)
    room = max_bytes - len(frame) - 1000 - 20 * len(questions)  # keys, places of pictures
    # Pictures are looked up one at a time: `images` may open files. The first question tells how many each has.
    per_question = max((len(images.get(question["id"], ())) for question in questions[:1]), default=0)
    num_shown, packed = _fit_chains(questions, int(room * (1 - _FOR_PICTURES if images else 1)))
    sheet = PictureSheet(room - len(packed), num_shown * max(1, per_question))
    places = [[sheet.add(picture) for picture in images.get(one["id"], ())] for one in questions[:num_shown]]
    return _join(
        {
            "summary": summary,
            "pictures": sheet.uris,
            "places": places,
            "chains": packed,
            "num_chains_left_out": len(questions) - num_shown,
            "num_pictures_left_out": sheet.num_left_out,
        }
    )


def write_data(value: Any) -> str:
    """Write JSON that can stand in any place of an HTML page: in ASCII, without <, > and &."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


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


def _join(data: dict[str, Any]) -> str:
    style = "\n".join(_read(name) for name in _STYLES)
    scripts = [f"/*\n{_read(_LICENCE)}*/\n{_read(_LIBRARY)}", *map(_read, _SCRIPTS)]
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {' '.join(map(_hash, scripts))}",
            f"style-src {_hash(style)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",  # no text is ever parsed as HTML
            "trusted-types 'none'",
        ]
    )
    parts = {
        "policy": policy,
        "style": f"<style>{style}</style>",
        "scripts": "\n".join(f"<script>{script}</script>" for script in scripts),
        "data": write_data(data),
    }
    # One pass: what is put in is not searched again.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _read("template.html"))


def _hash(code: str) -> str:
    return f"'sha256-{b64encode(sha256(code.encode()).digest()).decode()}'"


def _read(name: str) -> str:
    return files("vapo.diagnosis.page").joinpath(name).read_text(encoding="utf-8")
