"""Rows of claims as JSON Lines, with the images in a folder beside the file, or as Parquet, with the images inside."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from vapo.atomic_files import atomic_file
from vapo.claims.exchange.rows import ClaimRow
from vapo.claims.store.images import StoredImage


def write_json_lines(path: Path, rows: Iterable[ClaimRow]) -> tuple[int, int]:
    """Write rows, and their images into the folder `NAME_images` beside the file.

    The file appears whole or not at all; images are named by their pixels, and those that are there stay.

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
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for row in rows:
            line = _lay_out(row, [f"{folder.name}/{_keep(folder, image)}" for image in row.images])
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            num_rows += 1
            num_claims += len(row.claims)
    return num_rows, num_claims


def name_file(image: StoredImage) -> str:
    """Return what an image's file is called."""
    return f"{image.name}.{'png' if image.media_type == 'image/png' else 'jpg'}"


def _keep(folder: Path, image: StoredImage) -> str:
    name = name_file(image)
    file = folder / name
    if not file.is_file():
        with atomic_file(file) as temporary:
            temporary.write_bytes(image.content)
    return name


_ROWS_TOGETHER = 100
SHARD_BYTES = 500_000_000
"""Of images in one file of a folder, about: what the Hugging Face hub advises."""


def write_parquet(path: Path, rows: Iterable[ClaimRow]) -> tuple[int, int]:
    """Write rows into one file, which appears whole or not at all.

    Args:
        path: the file, replaced if it is there.
        rows: what to write.

    Returns:
        How many rows and how many claims were written.

    Raises:
        OSError: it cannot be written.
    """
    arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    schema = _make_schema()
    num_rows = num_claims = 0
    with atomic_file(path) as temporary, parquet.ParquetWriter(temporary, schema) as writer:
        for chunk in _chunks(rows):
            writer.write_table(arrow.Table.from_pylist([_embed(row) for row in chunk], schema=schema))
            num_rows += len(chunk)
            num_claims += sum(len(row.claims) for row in chunk)
    return num_rows, num_claims


def split_shards(rows: Iterable[ClaimRow], shard_bytes: int = SHARD_BYTES) -> Iterator[list[ClaimRow]]:
    """Yield rows in lists whose images have about `shard_bytes` together, at least one row in each."""
    shard: list[ClaimRow] = []
    size = 0
    for row in rows:
        shard.append(row)
        size += sum(len(image.content) for image in row.images)
        if size >= shard_bytes:
            yield shard
            shard, size = [], 0
    if shard:
        yield shard


def _make_schema() -> Any:
    datasets = import_module("datasets")
    text, truth = datasets.Value("string"), datasets.Value("bool")
    features = datasets.Features(
        {
            "id": text,
            "source": text,
            "images": datasets.List(datasets.Image()),
            "image_names": datasets.List(text),
            "claims": datasets.List({"text": text, "is_true": truth}),
            "makers": datasets.List(text),
        }
    )
    return features.arrow_schema


def _embed(row: ClaimRow) -> dict[str, Any]:
    return _lay_out(row, [{"bytes": image.content, "path": name_file(image)} for image in row.images])


def _lay_out(row: ClaimRow, images: list[Any]) -> dict[str, Any]:
    return {
        "id": row.name,
        "source": row.source,
        "images": images,
        "image_names": [image.name for image in row.images],
        "claims": [{"text": claim.text, "is_true": claim.is_true} for claim in row.claims],
        "makers": list(row.makers),
    }


def _chunks(rows: Iterable[ClaimRow]) -> Iterator[list[ClaimRow]]:
    left = iter(rows)
    while chunk := list(islice(left, _ROWS_TOGETHER)):
        yield chunk
