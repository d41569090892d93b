"""Claims as JSON Lines, one line a row, with the pictures in a folder beside the file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from vapo.claims.exchange.rows import ClaimRow
from vapo.claims.store.subjects import StoredImage
from vapo.drafts import drafting


def write_json_lines(path: Path, rows: Iterable[ClaimRow]) -> tuple[int, int]:
    """Write rows, and their pictures into the folder `NAME_images` beside the file.

    The file appears whole or not at all; pictures are named by their pixels, and those that are there stay.

    Args:
        path: the file, replaced if it is there.
        rows: what to write.

    Returns:
        How many rows and how many claims were written.

    Raises:
        OSError: something cannot be written.
    """
    folder = path.with_name(f"{path.stem}_images")
    folder.mkdir(exist_ok=True)
    num_rows = num_claims = 0
    with drafting(path) as draft, draft.open("w", encoding="utf-8") as file:
        for row in rows:
            line = {
                "id": row.name,
                "source": row.source,
                "images": [f"{folder.name}/{_keep(folder, image)}" for image in row.images],
                "image_names": [image.name for image in row.images],
                "claims": [{"text": claim.text, "is_true": claim.is_true} for claim in row.claims],
                "makers": list(row.makers),
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            num_rows += 1
            num_claims += len(row.claims)
    return num_rows, num_claims


def name_file(image: StoredImage) -> str:
    """Return what a picture's file is called."""
    return f"{image.name}.{'png' if image.media_type == 'image/png' else 'jpg'}"


def _keep(folder: Path, image: StoredImage) -> str:
    name = name_file(image)
    file = folder / name
    if not file.is_file():
        with drafting(file) as draft:
            draft.write_bytes(image.content)
    return name
