"""Rows as TRL reads them, from samples, and samples back from such rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL.Image import Image

from vapo.data.claim_columns import read_claims
from vapo.data.columns import DEFAULT_COLUMNS, find_answer, match_columns
from vapo.data.image_files import Folder, is_url, take_value
from vapo.data.images import PILLOW_MAX_PIXELS, ImagePolicy, is_shown, open_image
from vapo.data.refused_sizes import SizeCheck
from vapo.data.row_reader import read_images
from vapo.errors import DataError
from vapo.training.rewards import NO_ANSWERS, last_user_text, read_reference
from vapo.types import Claim, Sample

TRL_IMAGE_COLUMNS = ("images", "image")
"""Where TRL looks for images, in this order."""
BOTH_KINDS = (
    "TRL 1.16 hands rows with and without images to the processor as one batch, which fails; train on one kind alone, "
    "for example with .filter()"
)
USERS_IMAGES = ImagePolicy(max_pixels=PILLOW_MAX_PIXELS)
USERS_FOLDER = Folder(Path(), Path("/"))
"""Paths in a user's own data set lead wherever he lets them, as in `datasets`."""


class SampleReader:
    """Read samples out of rows as TRL has them.

    Args:
        require_claims: whether data without claims or images, and a row without, are refused.
        require_answers: whether data without answers, and a row without, are refused.
        allow_unclaimed_rows: whether rows without claims are taken all the same, among rows with claims.
    """

    def __init__(
        self, *, require_claims: bool, require_answers: bool = False, allow_unclaimed_rows: bool = False
    ) -> None:
        self.requires_claims = require_claims
        self.allows_unclaimed_rows = allow_unclaimed_rows
        self.requires_answers = require_answers
        self._match = lru_cache(lambda columns: match_columns(DEFAULT_COLUMNS, columns, asks=False))

    def check_columns(self, columns: Sequence[str]) -> None:
        """Raise DataError if a column that is required is missing, or columns of claims do not go together."""
        names = ", ".join(columns)
        if self.requires_answers and find_answer(columns) is None:
            raise DataError(f"{NO_ANSWERS}. The columns are {names}")
        if not self.requires_claims:
            return
        layout = self._match(tuple(columns))
        if not layout.has_claims:
            raise DataError(
                f"the data set has no claims, and VAPO trains on them: its columns are {names}; add a column 'claims' "
                "that lists {text, is_true} (or claim_1 .. with label_1 ..), or set algorithm='grpo'"
            )
        if layout.images not in TRL_IMAGE_COLUMNS:
            raise DataError(
                f"the data set has claims but no images to check them against: its columns are {names}; add a column "
                "'image' or 'images', or pass make_training_rows(load_samples(...))"
            )
        if layout.problems:
            raise DataError("; ".join(layout.problems))

    def choose_columns(self, columns: Sequence[str]) -> tuple[str, ...]:
        """Return the columns that `check` looks at."""
        layout, answer = self._match(tuple(columns)), find_answer(columns)
        claims = layout.used if self.requires_claims else ()
        return (*claims, answer) if self.requires_answers and answer is not None else claims

    def check(self, row: Mapping[str, Any]) -> tuple[Claim, ...]:
        """Check all of a row but its pixels, and return its claims.

        Args:
            row: the row; anything but None may stand in an image's place.

        Raises:
            DataError: a claim is malformed; or claims and an image, or an answer, are required and missing.
        """
        layout = self._match(tuple(row))
        claims = read_claims(row, layout)
        if self.requires_claims and not claims and not self.allows_unclaimed_rows:
            raise DataError("the row has no claims")
        if self.requires_claims and claims and not read_images(row, layout):
            raise DataError("the row has claims but no image to check them against")
        if self.requires_answers:
            name = find_answer(row) or "answer"
            read_reference(row.get(name), name)
        return claims

    def read(self, row: Mapping[str, Any], where: str) -> Sample:
        """Return the sample of one row.

        Raises:
            DataError: as `check`.
        """
        try:
            claims = self.check(row)
        except DataError as error:
            raise DataError(f"{where}: {error}; fix the row or leave it out") from error
        answer = row.get(find_answer(row) or "answer")
        return Sample(
            id=str(row.get("id", where)),
            images=tuple(list_images(row)),
            question=last_user_text(row["prompt"]),
            answer="" if answer is None else str(answer),
            claims=claims,
        )


def list_images(row: Mapping[str, Any]) -> list[Any]:
    """Return the images of a row, from its column `images` or `image`."""
    images = row["images"] if "images" in row else [row.get("image")]
    return [image for image in images or () if image is not None]


def check_kinds(rows: Sequence[Mapping[str, Any]]) -> None:
    """Refuse rows of one batch of which some have images and others none. Raises DataError."""
    if len({bool(list_images(row)) for row in rows}) > 1:
        raise DataError(f"a batch has rows with an image and rows without: {BOTH_KINDS}")


def open_images(row: dict[str, Any], sizes: SizeCheck) -> dict[str, Any]:
    """Return a row with its images opened as those of every data set are; arrays and web addresses are left to TRL.

    Args:
        row: as TRL has it.
        sizes: says which the model's processor refuses.

    Raises:
        DataError: an image cannot be opened, or has a size that is refused; the message names the row by its `id`.
    """
    try:
        images = [_open(image) for image in list_images(row)]
        refused = sizes.refuse(image.size for image in images if isinstance(image, Image))
        if refused is not None:
            raise DataError(refused)
    except DataError as error:
        where = f"row {row['id']}" if "id" in row else "a row"
        raise DataError(f"{where}: {error}; or leave the row out") from error
    if not images:
        return row
    return {**row, **({"images": images} if "images" in row else {"image": images[0]})}


def _open(image: Any) -> Any:
    held = take_value(image)
    if isinstance(held, Image):
        is_ready = is_shown(held)
    else:
        is_ready = is_url(held) if isinstance(held, str) else not isinstance(held, bytes | Path)
    return image if is_ready else open_image(held, USERS_FOLDER, USERS_IMAGES)


def keep_text_plain(prompt: Any, escape: Callable[[str], str]) -> Any:
    """Return a conversation whose user text cannot turn into special tokens; other roles are the author's own."""
    if isinstance(prompt, str):
        return prompt

    def plain(content: Any) -> Any:
        if isinstance(content, str):
            return escape(content)
        return [{**part, "text": escape(part["text"])} if part["type"] == "text" else part for part in content]

    return [
        {**message, "content": plain(message["content"])} if message["role"] == "user" else message
        for message in prompt
    ]
