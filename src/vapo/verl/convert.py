"""Write a data set as the rows that verl reads: a prompt, its images, the reference answer, and the claims."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet
from datasets import Features, Image, List, Value
from PIL.Image import Image as PILImage

from vapo.atomic_files import atomic_file
from vapo.data.checks import Progress
from vapo.data.images import ImagePolicy, is_stored_as_shown, read_image
from vapo.data.prompts import PLACE, split_question
from vapo.data.row_files import check_parquet_name
from vapo.data.row_reader import RowReader, read_images
from vapo.data.samples import Samples
from vapo.errors import ConfigError, DataError
from vapo.models.plain_text import escape
from vapo.types import Sample
from vapo.verl.rows import TRAIN, VALIDATION
from vapo.verl.settings import AGENT_NAME

MEDIA_PLACES = (PLACE, "<video>", "<audio>")
"""Where verl puts media into a prompt, whatever the model."""

_ROWS_TOGETHER = 256
_MESSAGE = {"role": Value("string"), "content": Value("string")}
_CLAIM = {"text": Value("string"), "is_true": Value("bool")}
_FEATURES: Any = {
    "data_source": Value("string"),
    "agent_name": Value("string"),
    "prompt": List(_MESSAGE),
    "images": List(Image()),
    "reward_model": {"style": Value("string"), "ground_truth": Value("string")},
    "extra_info": {
        "index": Value("int64"),
        "id": Value("string"),
        "split": Value("string"),
        "claims": List(_CLAIM),
    },
}


def convert(
    samples: Samples,
    reader: RowReader,
    path: Path,
    *,
    name: str,
    validation: bool = False,
    system_prompt: str | None = None,
    policy: ImagePolicy = ImagePolicy(),
    progress: Progress | None = None,
) -> int:
    """Write the samples to a Parquet file, which appears whole or not at all; return how many there are.

    Args:
        samples: what to write.
        reader: reads the rows that they come from, for their images as they are stored.
        path: the file, replaced if it is there.
        name: of the data, by which verl groups its validation metrics.
        validation: whether the rows are to validate on; such rows are not probed.
        system_prompt: put before every question.
        policy: which images may be read.
        progress: called with (rows written, rows in all).

    Raises:
        ConfigError: the file has another kind of name, or the system prompt holds a place of an image.
        DataError: an image cannot be read.
    """
    check_parquet_name(path)
    if system_prompt is not None and any(place in system_prompt for place in MEDIA_PLACES):
        raise ConfigError(
            f"the system prompt holds one of {', '.join(MEDIA_PLACES)}, where verl would put an image; write it "
            "otherwise"
        )
    schema = Features(_FEATURES).arrow_schema
    with atomic_file(path) as temporary, parquet.ParquetWriter(temporary, schema) as writer:
        done = 0
        for chunk in _chunks(len(samples)):
            rows = [
                make_row(
                    samples[number],
                    _store_images(samples[number], reader, samples.row_numbers[number], policy),
                    index=number,
                    name=name,
                    split=VALIDATION if validation else TRAIN,
                    system_prompt=system_prompt,
                )
                for number in chunk
            ]
            writer.write_table(arrow.Table.from_pylist(rows, schema=schema))
            done += len(rows)
            if progress is not None:
                progress(done, len(samples))
    return len(samples)


def make_row(
    sample: Sample,
    images: Sequence[bytes],
    *,
    index: int,
    name: str,
    split: str,
    system_prompt: str | None,
) -> dict[str, Any]:
    """Return one row of verl's data.

    Args:
        sample: the sample.
        images: its images as files.
        index: the row's number, from 0.
        name, system_prompt: as for `convert`.
        split: `TRAIN` or `VALIDATION`.
    """
    messages = [{"role": "user", "content": write_question(sample.question, len(images))}]
    if system_prompt is not None:
        messages.insert(0, {"role": "system", "content": system_prompt})
    return {
        "data_source": name,
        "agent_name": AGENT_NAME,
        "prompt": messages,
        "images": [{"bytes": image, "path": None} for image in images],
        "reward_model": {"style": "rule", "ground_truth": sample.answer},
        "extra_info": {
            "index": index,
            "id": sample.id,
            "split": split,
            "claims": [{"text": claim.text, "is_true": claim.is_true} for claim in sample.claims],
        },
    }


def write_question(question: str, num_images: int) -> str:
    """Return a question with one `<image>` for each image, and no other place where verl would put media."""
    pieces = split_question(question, num_images)
    return "".join(PLACE if piece is None else escape(piece, MEDIA_PLACES) for piece in pieces)


def _store_images(sample: Sample, reader: RowReader, row: int, policy: ImagePolicy) -> list[bytes]:
    folder = reader.find_folder(row)
    try:
        stored = [read_image(one, folder, policy) for one in read_images(reader.rows.read(row), reader.layout)]
    except DataError as error:
        raise DataError(f"{reader.rows.source}, {reader.rows.locate(row)}: {error}") from error
    return [_keep(content, image, policy) for content, image in zip(stored, sample.images, strict=True)]


def _keep(content: bytes, image: PILImage, policy: ImagePolicy) -> bytes:
    """Return the file as it is if verl will read the same image out of it, and else one in which it will.

    verl neither turns images as their cameras say nor lays transparent ones on white.
    """
    return content if is_stored_as_shown(content, image, policy) else read_image(image, None, policy)


def _chunks(count: int) -> Iterator[range]:
    for start in range(0, count, _ROWS_TOGETHER):
        yield range(start, min(start + _ROWS_TOGETHER, count))
