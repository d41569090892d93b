"""Read what a row means, without decoding its images: the step between a raw row and a `Sample`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from vapo.core.grading import take_reference
from vapo.data.claim_columns import read_claims
from vapo.data.columns import Layout
from vapo.data.image_files import Folder, take_value
from vapo.data.prompts import split_question
from vapo.data.rows import Rows
from vapo.data.texts import read_text
from vapo.errors import DataError
from vapo.types import Claim


class NoImageError(DataError):
    """A row has no image."""


@dataclass(frozen=True, slots=True)
class UnopenedSample:
    """A sample whose images are still as the row holds them; `is_wrapped` if its answer was taken out of something."""

    id: str
    images: tuple[object, ...]
    question: str
    answer: str
    claims: tuple[Claim, ...]
    is_wrapped: bool = False


@dataclass(frozen=True, slots=True)
class RowReader:
    """Reads the rows of one source.

    `folder` overrides where image paths lead; None leaves that to the source.
    `require_claims` makes an empty pool of claims an error. `others` holds the columns that a sample is not made of.
    """

    rows: Rows
    layout: Layout
    folder: Folder | None
    require_claims: bool
    others: Rows | None = None

    def read(self, index: int) -> UnopenedSample:
        """Read row `index`; the message of what is raised does not say which row it was.

        Raises:
            NoImageError: there is no image.
            DataError: a field is missing, empty, or of the wrong kind.
        """
        row = self.rows.read(index)
        images = read_images(row, self.layout)
        if not images:
            raise NoImageError(f"{self.layout.images} is empty, and rows without an image cannot be mixed with others")
        question = _read_field(row, self.layout.question)
        split_question(question, len(images))
        claims = read_claims(row, self.layout)
        if self.require_claims and not claims:
            raise DataError("there are no claims about the image, and this algorithm trains on them")
        name = f"row-{index}" if self.layout.id is None else _read_field(row, self.layout.id, numbers=True)
        written = _read_field(row, self.layout.answer, numbers=True)
        answer = take_reference(written)
        if written and not answer.strip():
            raise DataError(f"{self.layout.answer} is empty but for what it is wrapped in")
        return UnopenedSample(name, images, question, answer, claims, is_wrapped=answer != written)

    @property
    def other_columns(self) -> tuple[str, ...]:
        """The columns that a sample is not made of, by name."""
        return () if self.others is None else tuple(n for n in self.others.columns if n not in self.layout.used)

    def read_others(self, index: int) -> Mapping[str, Any]:
        """Read the columns of row `index` that a sample is not made of; images among them stay encoded."""
        row: Mapping[str, Any] = {} if self.others is None else self.others.read(index)
        return {name: row.get(name) for name in self.other_columns}

    def find_folder(self, index: int) -> Folder | None:
        """Where the image paths of row `index` lead."""
        return self.folder if self.folder is not None else self.rows.folder(index)


def read_images(row: Mapping[str, Any], layout: Layout) -> tuple[object, ...]:
    """Read the images of a row, encoded as they are; a row without any gives an empty tuple.

    Args:
        row: the row, by column.
        layout: where images stand.

    Raises:
        DataError: one image of several is null.
    """
    value: object = row.get(layout.images) if layout.images is not None else None
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        return (value,)
    images = tuple(cast("list[object]", value))
    for position, image in enumerate(images):
        if image is None or _is_hollow(image):
            raise DataError(f"image {position + 1} of {len(images)} in {layout.images} is null")
    return images


def _is_hollow(image: object) -> bool:
    return isinstance(image, Mapping) and not take_value(cast("Mapping[str, object]", image))


def _read_field(row: Mapping[str, Any], column: str | None, numbers: bool = False) -> str:
    return "" if column is None else read_text(row.get(column), column, numbers)
