"""The lab's data set: ordinary parquet files, one row per question, with the truth of the image beside it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vapo.atomic_files import atomic_file

from .claims import make_claims
from .questions import KINDS, ask
from .world import GRIDS, Split, draw_scene, photograph

_STREAM_OF_SPLIT: dict[Split, int] = {"train": 11, "heldout": 12}


def make_rows(
    split: Split,
    *,
    seed: int,
    rows: int,
    canvas: int = 64,
    grids: tuple[tuple[int, int], ...] = GRIDS,
    kinds: tuple[str, ...] = KINDS,
    claims: int = 20,
) -> Iterator[dict[str, Any]]:
    """Yield `rows` rows, each with an image of its own; kinds of question and sizes of grid come in equal parts.

    A kind that `kinds` names twice comes twice as often: (*EARLY, *EARLY, *EARLY, *LATE) makes a quarter of late
    questions.

    Columns: id, images (list of {bytes, path}), problem, answer, claims (list of {text, is_true}), kind, rows,
    columns, digits (row by row). Row n depends on the seed, the split and n alone.
    """
    for number in range(rows):
        rng = np.random.default_rng([seed, _STREAM_OF_SPLIT[split], number])
        height, width = grids[(number // len(kinds)) % len(grids)]
        scene = draw_scene(rng, height, width, split)
        question = ask(rng, scene.grid, kinds[number % len(kinds)])
        image = io.BytesIO()
        photograph(scene, canvas).save(image, format="PNG")
        yield {
            "id": f"lab-{split}-{seed}-{number:05d}",
            "images": [{"bytes": image.getvalue(), "path": None}],
            "problem": question.text,
            "answer": question.answer,
            "claims": [
                {"text": claim.text, "is_true": claim.is_true} for claim in make_claims(rng, scene.grid, number=claims)
            ],
            "kind": question.kind,
            "rows": height,
            "columns": width,
            "digits": [list(line) for line in scene.grid.digits],
        }


def write_dataset(
    path: str | Path,
    split: Split,
    *,
    seed: int,
    rows: int,
    canvas: int = 64,
    grids: tuple[tuple[int, int], ...] = GRIDS,
    kinds: tuple[str, ...] = KINDS,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Write one split as parquet and return its path; the same arguments give the same bytes.

    `kinds` are those of `make_rows`. The file appears whole or not at all. `report(done, total)` is called after each
    row.
    """
    import pyarrow
    import pyarrow.parquet
    from datasets import Features, Image, List, Value

    features = Features(
        {
            "id": Value("string"),
            "images": List(Image()),
            "problem": Value("string"),
            "answer": Value("string"),
            "claims": List({"text": Value("string"), "is_true": Value("bool")}),
            "kind": Value("string"),
            "rows": Value("int32"),
            "columns": Value("int32"),
            "digits": List(List(Value("int32"))),
        }
    )
    written: list[dict[str, Any]] = []
    for row in make_rows(split, seed=seed, rows=rows, canvas=canvas, grids=grids, kinds=kinds):
        written.append(row)
        report(len(written), rows)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(written, schema=features.arrow_schema), temporary)
    return path
