"""Real photographs, small, and rows about them."""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import datasets.config
import pytest
from PIL import Image

WriteRows = Callable[..., Path]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what `datasets` converts out of the user's cache."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
    datasets.disable_progress_bars()


@pytest.fixture(scope="session")
def photo() -> Image.Image:
    """A photograph of a temple, 96 x 64."""
    with Image.open(str(files("sklearn.datasets.images") / "china.jpg")) as image:
        return image.resize((96, 64))


def encode(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def png(photo: Image.Image) -> bytes:
    return encode(photo)


@pytest.fixture(scope="session")
def jpeg(photo: Image.Image) -> bytes:
    return encode(photo, "JPEG")


@pytest.fixture
def make_row(png: bytes) -> Callable[..., dict[str, Any]]:
    """Make a good row with two claims; keywords replace its fields."""

    def make(**fields: Any) -> dict[str, Any]:
        claims = [{"text": "A temple is seen.", "is_true": True}, {"text": "Snow lies.", "is_true": False}]
        return {"problem": "What is this?", "answer": "a temple", "images": [png], "claims": claims, **fields}

    return make


@pytest.fixture
def published_row(png: bytes) -> dict[str, Any]:
    """A row in the form of the published training data: 20 claims and 20 labels, images as bytes with a name."""
    row: dict[str, Any] = {
        "problem": "<image>How many roofs are there?",
        "answer": "3",
        "images": [{"bytes": png, "path": "temple.png"}],
    }
    for number in range(1, 21):
        row[f"claim_{number}"] = f"Claim number {number}."
        row[f"label_{number}"] = "CORRECT" if number % 3 else "WRONG"
    return row
