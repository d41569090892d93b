"""Rows as TRL reads them, from samples, and samples back from such rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from vapo.data.claim_columns import read_claims
from vapo.data.columns import DEFAULT_COLUMNS, match_columns
from vapo.data.prompts import build_messages
from vapo.errors import DataError
from vapo.types import Sample

if TYPE_CHECKING:
    from datasets import Dataset


def make_training_rows(
    samples: Sequence[Sample],
    *,
    system_prompt: str | None = None,
) -> Dataset:
    """Return a `datasets.Dataset` with the columns prompt, images, answer, claims and id, decoded row by row.

    Args:
        samples: what to train on, for example `load_samples(...)`.
        system_prompt: put before every question.
    """
    from datasets import Dataset

    def decode(batch: Mapping[str, list[int]]) -> dict[str, list[Any]]:
        chosen = [samples[number] for number in batch["number"]]
        return {
            "prompt": [build_messages(sample, system_prompt) for sample in chosen],
            "images": [list(sample.images) for sample in chosen],
            "answer": [sample.answer for sample in chosen],
            "claims": [[{"text": c.text, "is_true": c.is_true} for c in sample.claims] for sample in chosen],
            "id": [sample.id for sample in chosen],
        }

    # A transform, not a map: nothing is decoded before its turn and nothing is written to a cache.
    return Dataset.from_dict({"number": list(range(len(samples)))}).with_transform(decode)


class SampleReader:
    """Read samples out of rows as TRL has them.

    Args:
        require_claims: whether data without claims, and a row without, are refused.
    """

    def __init__(self, *, require_claims: bool) -> None:
        self._require_claims = require_claims
        self._match = lru_cache(lambda columns: match_columns(DEFAULT_COLUMNS, columns))

    def check_columns(self, columns: Sequence[str]) -> None:
        """Raise DataError if claims are required and no column holds any."""
        if self._require_claims and not self._match(tuple(columns)).has_claims:
            raise DataError(
                f"the data set has no claims, and VAPO trains on them: its columns are {', '.join(columns)}; add a "
                "column 'claims' that lists {text, is_true} (or claim_1 .. with label_1 ..), or set algorithm='grpo'"
            )

    def read(self, row: Mapping[str, Any], where: str) -> Sample:
        """Return the sample of one row.

        Raises:
            DataError: a claim is malformed, or claims are required and the row has none.
        """
        try:
            claims = read_claims(row, self._match(tuple(row)))
        except DataError as error:
            raise DataError(f"{where}: {error}") from error
        if self._require_claims and not claims:
            raise DataError(f"{where}: the row has no claims; add some, or leave the row out")
        pictures = tuple(list_images(row))
        if self._require_claims and not pictures:
            raise DataError(
                f"{where}: the row has claims but no image to check them against; add it or leave the row out"
            )
        return Sample(
            id=str(row.get("id", where)),
            images=pictures,
            question=_last_user_text(row["prompt"]),
            answer=str(row.get("answer", row.get("solution", ""))),
            claims=claims,
        )


def list_images(row: Mapping[str, Any]) -> list[Any]:
    """Return the pictures of a row, from its column `images` or `image`."""
    images = row["images"] if "images" in row else [row.get("image")]
    return [image for image in images or () if image is not None]


def keep_text_plain(prompt: Any, neutralise: Callable[[str], str]) -> Any:
    """Return a conversation whose user text cannot turn into special tokens; other roles are the author's own."""
    if isinstance(prompt, str):
        return prompt

    def plain(content: Any) -> Any:
        if isinstance(content, str):
            return neutralise(content)
        return [{**part, "text": neutralise(part["text"])} if part["type"] == "text" else part for part in content]

    return [
        {**message, "content": plain(message["content"])} if message["role"] == "user" else message
        for message in prompt
    ]


def _last_user_text(prompt: Any) -> str:
    if isinstance(prompt, str):
        return prompt
    content = next((message["content"] for message in reversed(prompt) if message["role"] == "user"), "")
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part.get("type") == "text")
