"""A row of verl's data, read as a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vapo.errors import DataError
from vapo.training.rows import SampleReader
from vapo.types import Sample

if TYPE_CHECKING:
    from PIL.Image import Image

TRAIN, VALIDATION = "train", "validation"
"""`extra_info.split` of rows to train on and of rows to validate on, as `vapo verl convert` writes them."""


def is_for_training(row: Mapping[str, Any]) -> bool:
    """Return whether a row is one to train on; verl does not tell an agent loop that it validates, but rows do."""
    return str(_read_extra(row).get("split", TRAIN)) == TRAIN


def read_sample(row: Mapping[str, Any], images: Sequence[Image], reader: SampleReader) -> Sample:
    """Return the sample of a row, its images as the policy is shown them.

    Raises:
        DataError: the row was not written by `vapo verl convert`, or its claims cannot be used.
    """
    extra = _read_extra(row)
    where = f"row {extra.get('id', row.get('index', '?'))}"
    ground_truth: Any = (row.get("reward_model") or {}).get("ground_truth")
    if ground_truth is None:
        raise DataError(f"{where}: reward_model.ground_truth is missing; write the data with `vapo verl convert`")
    return reader.read(
        {
            "prompt": row["raw_prompt"],
            "images": list(images),
            "answer": ground_truth,
            "claims": list(extra.get("claims") or ()),
            "id": extra.get("id", row.get("index")),
        },
        where,
    )


def list_images(messages: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return what stands for images in a conversation, in order."""
    parts = [part for message in messages if not isinstance(message["content"], str) for part in message["content"]]
    return [part["image"] for part in parts if part["type"] == "image"]


def holds_more_than_images(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether there are videos or sounds in a conversation."""
    contents = [message["content"] for message in messages if not isinstance(message["content"], str)]
    return any(part["type"] not in ("text", "image") for content in contents for part in content)


def _read_extra(row: Mapping[str, Any]) -> Mapping[str, Any]:
    extra: Any = row.get("extra_info")
    return extra if isinstance(extra, Mapping) else {}
