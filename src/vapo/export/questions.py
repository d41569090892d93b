"""The questions by which an export is compared with its checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from vapo.data.columns import Columns
from vapo.data.samples import load_samples
from vapo.errors import DataError
from vapo.export.origin import Origin
from vapo.types import Sample


def find_questions(origin: Origin, count: int, processor: Any, on_notice: Callable[[str], None]) -> Sequence[Sample]:
    """Return the first questions of a run's own data, or drawn images where that is not at hand.

    Args:
        origin: the checkpoint's run.
        count: how many.
        processor: the checkpoint's; rows with images of sizes that it refuses are left out, as in the run.
        on_notice: told what stands in for the data.
    """
    settings = origin.settings
    if not settings.get("data"):
        return _draw_questions(count)
    try:
        _check_texts(settings)
        return load_samples(
            settings["data"],
            split=settings["split"],
            columns=_read_columns(settings),
            image_folder=settings.get("image_folder"),
            on_bad_row="skip",
            limit=count,
            processors=[processor],
        )
    except DataError as error:
        on_notice(f"drawn images stand in for the run's data ({error}); name questions with --data")
        return _draw_questions(count)


_COLUMNS = ("question", "answer", "images", "claims", "id")


def _check_texts(settings: Mapping[str, Any]) -> None:
    needed = ("data", "split", *(f"{role}_column" for role in _COLUMNS if role != "id"))
    for name in (*needed, "image_folder", "id_column"):
        if not isinstance(settings.get(name), str) and (name in needed or settings.get(name) is not None):
            raise DataError(f"the run's settings say no {name}")


def _read_columns(settings: Mapping[str, Any]) -> Columns:
    return Columns(**{role: settings.get(f"{role}_column") for role in _COLUMNS})  # pyright: ignore[reportArgumentType]


def _draw_questions(count: int) -> list[Sample]:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (8, 8, 3), dtype=np.uint8) for _ in range(count)]
    return [
        Sample(f"drawn-{number}", (Image.fromarray(image).resize((224, 224)),), "What do you see?", "")
        for number, image in enumerate(images)
    ]
