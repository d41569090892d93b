"""What is known of a published benchmark, and a row of it as a question."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from vapo.core.grading import extract_answer
from vapo.data.images import PILLOW_MAX_PIXELS, ImagePolicy, open_image
from vapo.errors import DataError
from vapo.evaluation.suites.keys import Key

if TYPE_CHECKING:
    from PIL.Image import Image

Row = Mapping[str, Any]

IMAGE = "image"
"""Attribute of a graded question: a digest of its images."""

ROW = "vapo_row"
"""Column that numbers rows, from 0, where they were loaded for a suite."""

_BASE64 = re.compile(r"[A-Za-z0-9+/\s]{32,}={0,2}\s*")


@dataclass(frozen=True, slots=True)
class Question:
    """A row as it is put and graded.

    Attributes:
        id: unique in its benchmark.
        text: with `<image>` where an image stands; without, the images come first.
        key: the right answer.
        images: the columns of its images, in order.
        attributes: what the benchmark's own score needs to know of the row, such as the problem that it is a step of.
    """

    id: str
    text: str
    key: Key
    images: tuple[str, ...]
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Grade:
    """What an answer is worth.

    Attributes:
        score: in [0, 1].
        is_parsed: whether there was an answer of the kind asked for: a `\\boxed{}` that holds one. What could not be
            parsed scores 0, and is not a wrong answer.
        answer: what stands in the box; None without one.
    """

    score: float
    is_parsed: bool
    answer: str | None


@dataclass(frozen=True, slots=True)
class Graded:
    """A question's score with its attributes, of which a benchmark makes its own."""

    score: float
    attributes: Mapping[str, str]
    is_parsed: bool = True


@dataclass(frozen=True, slots=True)
class GroupScores:
    """One independent group of questions: K shares, as what was reached of what could be.

    A benchmark's score is mean_k(sum_g reached_gk / sum_g possible_gk).
    """

    reached_K: tuple[float, ...]
    possible_K: tuple[float, ...]


def digest_images(images: Sequence[Image]) -> str:
    """Return a digest of a question's images."""
    digest = hashlib.sha256()
    for image in images:
        digest.update(f"{image.size}".encode() + image.tobytes())
    return digest.hexdigest()[:32]


def group_by_image(graded: Sequence[Graded]) -> list[GroupScores]:
    """Group questions about the same image, which are not independent; one whose image is not known is on its own."""
    groups: dict[str | int, list[float]] = {}
    for number, one in enumerate(graded):
        groups.setdefault(one.attributes.get(IMAGE, number), []).append(one.score)
    return [GroupScores((sum(scores),), (float(len(scores)),)) for scores in groups.values()]


def split_by(attribute: str, graded: Sequence[Graded]) -> dict[str, list[Graded]]:
    """Sort questions by an attribute, in the order in which its values come."""
    found: dict[str, list[Graded]] = {}
    for one in graded:
        found.setdefault(one.attributes[attribute], []).append(one)
    return found


def accuracy_by(attribute: str) -> Callable[[Sequence[Graded]], dict[str, float]]:
    """Return what tells the mean score for each value of an attribute."""

    def describe(graded: Sequence[Graded]) -> dict[str, float]:
        return {value: sum(one.score for one in own) / len(own) for value, own in split_by(attribute, graded).items()}

    return describe


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A published benchmark, in the split and with the score that a suite takes of it.

    Attributes:
        name: for commands and files.
        title: for readers.
        data: name on the Hugging Face hub.
        split: which questions, for readers.
        num_questions: how many there are.
        read: makes a row's question; a KeyError says which column is missing.
        score: what the score is, for readers.
        group_scores: groups graded questions.
        parts: names of the K shares, where the score is a mean of several.
        wants_judge: whether the published score is a judge's, so that grading by rule is stricter.
        takes: which rows of the data are its own; None for all.
        describe: further shares that its authors report, by name; None for none.
    """

    name: str
    title: str
    data: str
    split: str
    num_questions: int
    read: Callable[[Row], Question]
    score: str = "accuracy"
    group_scores: Callable[[Sequence[Graded]], list[GroupScores]] = group_by_image
    parts: tuple[str, ...] = ()
    wants_judge: bool = False
    takes: Callable[[Row], bool] | None = None
    describe: Callable[[Sequence[Graded]], dict[str, float]] | None = None

    def question(self, row: Row) -> Question:
        """Return a row's question.

        Raises:
            DataError: the row is not of this benchmark's form.
        """
        try:
            return self.read(row)
        except KeyError as error:
            raise DataError(
                f"{self.title}: a row has no column {error}; its columns are {', '.join(row)}. Either {self.data} has "
                "changed, or a folder of that name holds other data"
            ) from None

    def images(self, row: Row) -> list[Image]:
        """Return a row's images as `vapo.data.images.open_image` opens them: in RGB, upright, transparent on white.

        Raises:
            DataError: the row is not of this benchmark's form, or has no image, or a broken one.
        """
        question = self.question(row)
        found = [image for column in question.images for image in list_images(row.get(column))]
        if not found or len(found) < len(question.images):
            raise self.missing_image(question.id)
        try:
            return [open_image(image, None, ImagePolicy(max_pixels=PILLOW_MAX_PIXELS)) for image in found]
        except DataError as error:
            raise DataError(f"{self.title}, row {question.id!r}: {error}") from error

    def missing_image(self, where: str) -> DataError:
        """Return the error about a row without an image."""
        return DataError(
            f"{self.title}, row {where!r}: it has no image, so that its question cannot be put; fix the data, or "
            "leave the row out"
        )

    def shares(self, graded: Sequence[Graded]) -> tuple[float, ...]:
        """Return the K shares in [0, 1] that the score is the mean of; none if no group of questions is whole."""
        return share_groups(self.group_scores(graded))


def share_groups(groups: Sequence[GroupScores]) -> tuple[float, ...]:
    """Return the shares that a benchmark's score is the mean of; none if no group of questions was asked whole."""
    reached = [sum(column) for column in zip(*(group.reached_K for group in groups), strict=True)]
    possible = [sum(column) for column in zip(*(group.possible_K for group in groups), strict=True)]
    return tuple(have / of for have, of in zip(reached, possible, strict=True))


def grade_response(question: Question, response: str) -> Grade:
    r"""Grade a response by rule: its last complete `\boxed{}` behind the thinking, against the question's key.

    Args:
        question: what was asked.
        response: the text, with or without its thinking.

    Raises:
        RuntimeError: math-verify cannot be run at all.
    """
    answer = extract_answer(response)
    score = None if answer is None else question.key.grade(answer)
    return Grade(score or 0.0, score is not None, answer)


def put_options(question: str, options: Sequence[str]) -> str:
    """Write a question and its options below each other, lettered."""
    lettered = [f"{chr(ord('A') + number)}. {option}" for number, option in enumerate(options)]
    return "\n".join([question, *lettered])


def list_images(value: Any) -> list[Any]:
    """Return the images that a cell holds: none, one, a list, or one in base64. A path is no image."""
    if isinstance(value, (list, tuple)):
        return [image for image in cast(Sequence[Any], value) if image is not None]
    if isinstance(value, str):
        return [base64.b64decode(value)] if _BASE64.fullmatch(value[-64:]) else []
    return [] if value is None else [value]
