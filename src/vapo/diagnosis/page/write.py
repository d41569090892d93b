"""Write the page of a diagnosis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from PIL import Image

from vapo.atomic_files import write_atomically
from vapo.diagnosis.findings import Diagnosis
from vapo.diagnosis.page.filling import MAX_BYTES, fill_page
from vapo.diagnosis.page.frame import Frame
from vapo.diagnosis.page.responses import describe_questions
from vapo.diagnosis.page.summary import describe_diagnosis
from vapo.errors import DataError


def write_page(diagnosis: Diagnosis, images: Mapping[str, Sequence[Image.Image]], path: Path) -> None:
    """Write `diagnosis` as one HTML file that opens offline, of at most `MAX_BYTES`.

    Where there are more responses than fit, the inspector shows the first ones and says how many it leaves out; the
    numbers always cover all of them.

    Args:
        diagnosis: at least one model.
        images: of each question, by the row's id; a question without an entry is shown without an image.
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
    body, *scripts = (
        files("vapo.diagnosis.page").joinpath(name).read_text(encoding="utf-8")
        for name in ("diagnosis.html", "findings.js", "diagnosis.js")
    )
    frame = Frame("vapo diagnosis", body, tuple(scripts))
    return fill_page(frame, describe_diagnosis(diagnosis), describe_questions(diagnosis), images, max_bytes)
