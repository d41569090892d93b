"""Look through a data set and tell what is in it: counts, sizes, lengths, and all that is wrong with it."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vapo.core.grading import find_reference_rule
from vapo.data.checks import Progress, RowProblem, check_images, check_texts
from vapo.data.columns import DEFAULT_COLUMNS, Columns
from vapo.data.images import MAX_PIXELS, ImagePolicy, open_image
from vapo.data.prompts import build_messages
from vapo.data.refused_sizes import SizeCheck
from vapo.data.row_reader import RowReader, UnopenedSample
from vapo.data.samples import prepare_reader
from vapo.errors import DataError
from vapo.types import Sample

AnswerKind = Literal["number", "multiple choice", "text"]

_CHOICE = re.compile(r"\(?[A-Ja-j]\)?[.:]?")
_NUMBER = re.compile(r"[-+]?(\d[\d,]*(\.\d+)?|\.\d+)([eE][-+]?\d+)?(/\d+(\.\d+)?)?")
_FRACTION = re.compile(r"[-+]?\\[dt]?frac\{?-?\d+\}?\{?-?\d+\}?")


@dataclass(frozen=True, slots=True)
class Spread:
    """The least, the middle and the greatest of some numbers."""

    least: float
    median: float
    greatest: float


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a data set holds. Spreads are over good rows, and None where there is none.

    `widths` and `heights` are in pixels, upright; `question_characters` in characters; `prompt_tokens` counts the
    rendered prompt with its images under a processor, over `prompts_measured` rows. `wrapped_answers` counts those
    that stood in a box or a tag, or behind "Answer:"; `unreadable_answers` are those that no rule of grading
    understands. `true_claims` of `claims` are true. `rows_of_one_truth` say where rows stand whose
    claims are all true or all false.
    `claims_per_row` and `images_per_row` count rows by their number of claims and images.
    """

    source: str
    rows: int
    good_rows: int
    images: int
    widths: Spread | None
    heights: Spread | None
    images_per_row: dict[int, int]
    claims: int
    true_claims: int
    rows_of_one_truth: tuple[str, ...]
    claims_per_row: dict[int, int]
    answer_kinds: dict[str, int]
    wrapped_answers: int
    unreadable_answers: tuple[str, ...]
    question_characters: Spread | None
    prompt_tokens: Spread | None
    prompts_measured: int
    problems: tuple[RowProblem, ...]


@dataclass(frozen=True, slots=True)
class MeasuredPrompts:
    """The longest of some prompts.

    Attributes:
        rows: of the data set.
        measured: prompts that were rendered.
        tokens: of the longest of these, those of its images included.
        image_tokens: of these, those of images.
    """

    rows: int
    measured: int
    tokens: int
    image_tokens: int


def inspect_samples(
    source: object,
    *,
    split: str | None = "train",
    columns: Columns = DEFAULT_COLUMNS,
    require_claims: bool = False,
    image_folder: str | Path | None = None,
    allow_urls: bool = False,
    max_pixels: int = MAX_PIXELS,
    limit: int | None = None,
    processor: Any = None,
    system_prompt: str | None = None,
    escape: Callable[[str], str] | None = None,
    max_prompts: int = 200,
    progress: Progress | None = None,
) -> Inspection:
    """Look at every row of a data set, however many of them are bad.

    Args:
        source, split, columns, require_claims, image_folder, allow_urls, max_pixels, limit: as for `load_samples`.
        processor: a `transformers` processor; with it, prompts are rendered and their tokens counted, and images of
            sizes that it refuses are problems.
        system_prompt, escape: as for `build_messages`, for those prompts.
        max_prompts: how many prompts to render at most, evenly spread over the good rows; each needs its images
            processed.
        progress: called with (rows checked, rows in all) while images are checked.

    Returns:
        The inspection, with every problem in `problems`: those of the data set first, then those of rows in order.

    Raises:
        DataError: the source cannot be opened at all, or has no such split.
        ConfigError: `limit` or `max_pixels` is out of its range.
    """
    policy = ImagePolicy(allow_urls, max_pixels)
    reader, count = prepare_reader(
        source, split=split, columns=columns, require_claims=require_claims, image_folder=image_folder, limit=limit
    )
    name = reader.rows.source
    general = [RowProblem(None, "the data set", problem) for problem in reader.layout.problems if count]
    if count == 0:
        general.append(RowProblem(None, "the data set", "it is empty: it has no rows"))
    facts: dict[int, _Facts] = {}
    problems: list[RowProblem] = []
    for index, outcome in check_texts(reader, count):
        if isinstance(outcome, RowProblem):
            problems.append(outcome)
        else:
            facts[index] = _note_facts(outcome)
    sizes: list[tuple[int, int]] = []
    refused_sizes = SizeCheck(processor) if processor is not None else None
    for index, outcome in check_images(reader, policy, list(facts), progress, refused_sizes):
        if isinstance(outcome, RowProblem):
            problems.append(outcome)
            del facts[index]
        else:
            sizes += outcome
    if count and sum(problem.no_image for problem in problems) == count:
        general.append(RowProblem(None, "the data set", "no row has an image to look at"))
        problems = []
    problems.sort(key=lambda problem: problem.row or 0)
    good = list(facts.values())
    tokens: list[int] = []
    if processor is not None:
        for index in _pick_evenly(list(facts), max_prompts):
            tokens.append(len(_render_ids(reader, policy, index, processor, system_prompt, escape)))
    return Inspection(
        source=name,
        rows=count,
        good_rows=len(good),
        images=len(sizes),
        widths=_spread([width for width, _ in sizes]),
        heights=_spread([height for _, height in sizes]),
        images_per_row=_count([fact.images for fact in good]),
        claims=sum(fact.claims for fact in good),
        true_claims=sum(fact.true_claims for fact in good),
        rows_of_one_truth=tuple(
            reader.rows.locate(index)
            for index, fact in facts.items()
            if fact.claims and fact.true_claims in (0, fact.claims)
        ),
        claims_per_row=_count([fact.claims for fact in good]),
        answer_kinds=dict(Counter(fact.answer_kind for fact in good).most_common()),
        wrapped_answers=sum(fact.is_wrapped for fact in good),
        unreadable_answers=tuple(fact.unreadable for fact in good if fact.unreadable is not None),
        question_characters=_spread([fact.question_characters for fact in good]),
        prompt_tokens=_spread(tokens),
        prompts_measured=len(tokens),
        problems=(*general, *problems),
    )


def measure_prompts(
    source: object,
    processor: Any,
    *,
    image_token_id: int,
    split: str | None = "train",
    columns: Columns = DEFAULT_COLUMNS,
    image_folder: str | Path | None = None,
    allow_urls: bool = False,
    limit: int | None = None,
    system_prompt: str | None = None,
    escape: Callable[[str], str] | None = None,
    max_prompts: int = 200,
) -> MeasuredPrompts:
    """Render some prompts of a data set, evenly spread over its rows, and count their tokens.

    Args:
        source, split, columns, image_folder, allow_urls, limit: as for `load_samples`.
        processor: a `transformers` processor.
        image_token_id: of the tokens that stand for an image.
        system_prompt, escape: as for `build_messages`.
        max_prompts: how many to render at most.

    Raises:
        DataError: the source cannot be opened, columns are missing, or a row that is rendered cannot be used.
    """
    policy = ImagePolicy(allow_urls)
    reader, count = prepare_reader(source, split=split, columns=columns, image_folder=image_folder, limit=limit)
    if reader.layout.problems or count == 0:
        raise DataError(f"{reader.rows.source}: {'; '.join(reader.layout.problems) or 'it is empty'}")
    rows = _pick_evenly(range(count), max_prompts)
    prompts = [_render_ids(reader, policy, row, processor, system_prompt, escape) for row in rows]
    longest = max(prompts, key=len)
    return MeasuredPrompts(count, len(prompts), len(longest), sum(token == image_token_id for token in longest))


def classify_answer(answer: str) -> AnswerKind:
    """Tell a number, a letter of a choice, and other text apart; dollar signs, a box and a percent sign are ignored.

    Args:
        answer: the reference answer.
    """
    bare = answer.strip().strip("$").strip()
    if bare.startswith("\\boxed{") and bare.endswith("}"):
        bare = bare[len("\\boxed{") : -1].strip()
    if _CHOICE.fullmatch(bare):
        return "multiple choice"
    bare = bare.removesuffix("%").removesuffix("\\").strip()
    return "number" if _NUMBER.fullmatch(bare) or _FRACTION.fullmatch(bare) else "text"


@dataclass(frozen=True, slots=True)
class _Facts:
    images: int
    claims: int
    true_claims: int
    answer_kind: AnswerKind
    is_wrapped: bool
    unreadable: str | None
    question_characters: int


def _note_facts(unopened: UnopenedSample) -> _Facts:
    return _Facts(
        images=len(unopened.images),
        claims=len(unopened.claims),
        true_claims=sum(claim.is_true for claim in unopened.claims),
        answer_kind=classify_answer(unopened.answer),
        is_wrapped=unopened.is_wrapped,
        unreadable=unopened.answer if find_reference_rule(unopened.answer) is None else None,
        question_characters=len(unopened.question),
    )


def _render_ids(
    reader: RowReader,
    policy: ImagePolicy,
    index: int,
    processor: Any,
    system_prompt: str | None,
    escape: Callable[[str], str] | None,
) -> list[int]:
    unopened, folder = reader.read(index), reader.find_folder(index)
    images = tuple(open_image(image, folder, policy) for image in unopened.images)
    sample = Sample(unopened.id, images, unopened.question, unopened.answer)
    messages = build_messages(sample, system_prompt, escape)
    marks = (part for message in messages for part in message["content"] if part["type"] == "image")
    for mark, image in zip(marks, images, strict=True):
        mark["image"] = image
    # The processor tokenizes what it has rendered: it alone knows which special tokens the template wrote already.
    encoded = processor.apply_chat_template(
        [messages],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={"return_tensors": "pt"},
    )
    return encoded["input_ids"][0].tolist()


def _pick_evenly(indices: Sequence[int], most: int) -> list[int]:
    if len(indices) <= most:
        return list(indices)
    return [indices[number * len(indices) // most] for number in range(most)]


def _spread(numbers: Sequence[float]) -> Spread | None:
    return Spread(min(numbers), statistics.median(numbers), max(numbers)) if numbers else None


def _count(numbers: Sequence[int]) -> dict[int, int]:
    return dict(sorted(Counter(numbers).items()))
