"""Rows that a run cannot be trained on, found before its first step and without decoding an image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import repeat
from typing import Any, cast

from datasets import Dataset

from vapo.data.checks import RowProblem, check_images, list_problems
from vapo.data.columns import DEFAULT_COLUMNS, match_columns
from vapo.data.refused_sizes import SizeCheck
from vapo.data.row_reader import RowReader
from vapo.data.rows import DatasetRows
from vapo.data.samples import Samples
from vapo.data.untyped import import_untyped
from vapo.errors import DataError
from vapo.training.cached_rows import reads_the_same_twice
from vapo.training.rows import BOTH_KINDS, TRL_IMAGE_COLUMNS, USERS_FOLDER, USERS_IMAGES, SampleReader
from vapo.training.sample_rows import SampleRows, list_references, list_samples

kinds, compute = import_untyped("pyarrow.types"), import_untyped("pyarrow.compute")

_ROWS_TOGETHER = 1000


def check_data(reader: SampleReader, train_dataset: Any, eval_dataset: Any = None) -> None:
    """Refuse data that lacks what is trained on.

    Of a stream, and of rows that a transform of the user's own makes, the first row alone is looked at.

    Args:
        reader: says what rows must have.
        train_dataset, eval_dataset: as the trainer takes them; None is passed over.

    Raises:
        DataError: a data set is empty, a column is missing, rows cannot be used, or some of them have images and
            others none. The message names the first ones.
    """
    for name, dataset in _name_data(train_dataset, eval_dataset):
        _refuse(name, _find_problems(reader, dataset, name))
        _refuse_both_kinds(name, dataset)


def check_sizes(sizes: SizeCheck, train_dataset: Any, eval_dataset: Any = None) -> None:
    """Refuse rows with images of sizes that the model's processor refuses, or that are no images.

    A stream, and rows that a transform of the user's own makes, are passed over; see `open_images`.

    Args:
        sizes: asks the processor.
        train_dataset, eval_dataset: as the trainer takes them; None is passed over.

    Raises:
        DataError: there are such rows. The message names the first ones.
    """
    for name, dataset in _name_data(train_dataset, eval_dataset):
        if isinstance(dataset, Dataset) and reads_the_same_twice(dataset):
            _refuse(name, _find_refused(sizes, dataset))


def _name_data(train_dataset: Any, eval_dataset: Any) -> Iterator[tuple[str, Any]]:
    named = {"train_dataset": train_dataset}
    if isinstance(eval_dataset, dict):
        named |= {f"eval_dataset[{name!r}]": dataset for name, dataset in eval_dataset.items()}
    else:
        named["eval_dataset"] = eval_dataset
    return ((name, dataset) for name, dataset in named.items() if dataset is not None)


def _refuse(name: str, problems: Sequence[RowProblem]) -> None:
    if problems:
        raise DataError(
            f"{name}, {list_problems(problems)}; fix the rows or leave them out, for example with .filter()"
        )


def _refuse_both_kinds(name: str, dataset: Any) -> None:
    if not (isinstance(dataset, Dataset) and reads_the_same_twice(dataset)):
        return
    first: dict[bool, int] = {}
    for number, shown in enumerate(_find_shown(dataset)):
        first.setdefault(shown, number)
    if len(first) == 2:
        raise DataError(f"{name}, row {first[False]} has no image, and row {first[True]} has one: {BOTH_KINDS}")


def _find_shown(dataset: Dataset) -> Iterator[bool]:
    """Yield whether each row has an image, where there is a column of them."""
    column = next((name for name in TRL_IMAGE_COLUMNS if name in dataset.column_names), None)
    if column is None:
        return
    transform = dataset.format["format_kwargs"].get("transform")
    if isinstance(transform, SampleRows) and column in list_references(dataset):
        if not isinstance(transform.samples, Samples):  # those that were loaded have images
            yield from (bool(transform.samples[number].images) for number in list_samples(dataset, column))
        return
    for mark in _mark_images(dataset.select_columns([column])):
        yield any(mark) if isinstance(mark, list) else mark is not None


def _find_refused(sizes: SizeCheck, dataset: Dataset) -> list[RowProblem]:
    column = next((name for name in TRL_IMAGE_COLUMNS if name in dataset.column_names), None)
    if column is None:
        return []
    transform = dataset.format["format_kwargs"].get("transform")
    if isinstance(transform, SampleRows) and column in list_references(dataset):
        numbers = list_samples(dataset, column)
        if isinstance(transform.samples, Samples):
            refused = transform.samples.find_refused(sizes)
            return [refused[number] for number in numbers if number in refused]
        sizes_of = ([image.size for image in transform.samples[number].images] for number in numbers)
        reasons = enumerate(map(sizes.refuse, sizes_of))
        return [RowProblem(place, f"row {place}", why) for place, why in reasons if why]
    if isinstance(transform, SampleRows):
        dataset = dataset.with_format(None)  # images of the user's own, in the place of those of samples
    rows = DatasetRows(dataset.select_columns([column]), "the data set", USERS_FOLDER)
    reader = RowReader(rows, match_columns(DEFAULT_COLUMNS, (column,), asks=False), None, False)
    looked_at = check_images(reader, USERS_IMAGES, range(len(dataset)), sizes=sizes, decode=False)
    return [outcome for _, outcome in looked_at if isinstance(outcome, RowProblem)]


def _find_problems(reader: SampleReader, dataset: Any, name: str) -> list[RowProblem]:
    readable = isinstance(dataset, Dataset) and reads_the_same_twice(dataset)
    first: Any = None
    if not readable:
        first = next(iter(dataset), None)
    elif len(dataset) > 0:
        first = dataset[:0]  # its columns, as a transform makes them
    if first is None:
        raise DataError(f"{name} is empty; it needs at least one row")
    columns = list(first)
    transform = dataset.format["format_kwargs"].get("transform") if isinstance(dataset, Dataset) else None
    references = list_references(dataset) if isinstance(dataset, Dataset) else []
    if references and not isinstance(transform, SampleRows):
        raise DataError(
            f"{name} no longer has the transform of make_training_rows, which fills in {', '.join(references)}; "
            "change formats and join data sets before make_training_rows, or use .map() in place of a transform"
        )
    reader.check_columns(columns)
    if not readable:
        return _check_rows(reader, [first])
    chosen = reader.choose_columns(columns)
    samples = transform.samples if isinstance(transform, SampleRows) else None
    if isinstance(samples, Samples) and set(chosen) <= set(references):  # as load_samples checked them
        return _check_samples(reader, samples, dataset)
    return _check_rows(reader, read_without_images(dataset, chosen), all_there=True)


def _check_samples(reader: SampleReader, samples: Samples, dataset: Dataset) -> list[RowProblem]:
    unclaimed = samples.find_unclaimed() if reader.requires_claims else {}
    if not unclaimed:
        return []
    numbers = list_samples(dataset, "claims")
    problems = [unclaimed[number] for number in numbers if number in unclaimed]
    return [] if reader.allows_unclaimed_rows and len(problems) < len(numbers) else problems


def _check_rows(
    reader: SampleReader, rows: Iterable[Mapping[str, Any]], *, all_there: bool = False
) -> list[RowProblem]:
    """Return what is wrong with rows; `all_there` says that there are no others, of which one may have claims."""
    problems: list[RowProblem] = []
    claimed = False
    for number, row in enumerate(rows):
        try:
            claimed |= bool(reader.check(row))
        except DataError as error:
            problems.append(RowProblem(number, f"row {number}", str(error)))
    if reader.requires_claims and all_there and not (claimed or problems):
        problems.append(RowProblem(None, "all rows", "there are no claims; add some, or set algorithm='grpo'"))
    return problems


def read_without_images(dataset: Dataset, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield rows with some of their columns; something stands for each image, which is not opened."""
    references, transform = list_references(dataset), dataset.format["format_kwargs"].get("transform")
    if isinstance(transform, SampleRows):
        dataset = dataset.with_transform(transform.without_opening())
    images = next((name for name in TRL_IMAGE_COLUMNS if name in columns and name not in references), None)
    texts = [name for name in columns if name != images]
    if not texts:
        return
    marks = repeat(None) if images is None else _mark_images(dataset.select_columns([images]))
    for batch in cast("Iterable[Any]", dataset.select_columns(texts).iter(_ROWS_TOGETHER)):
        for values, mark in zip(zip(*batch.values(), strict=True), marks, strict=False):
            row = dict(zip(batch, values, strict=True))
            yield row if images is None else {**row, images: mark}


def _mark_images(dataset: Dataset) -> Iterator[Any]:
    """Yield True for an image and None for a null one, in a list where a row holds a list; no bytes are copied."""
    for table in cast("Iterable[Any]", dataset.with_format("arrow").iter(_ROWS_TOGETHER)):
        column = table.column(0)
        if not (kinds.is_list(column.type) or kinds.is_large_list(column.type)):
            yield from _mark(column)
            continue
        marks = iter(_mark(compute.list_flatten(column)))
        for length in compute.list_value_length(column).to_pylist():
            yield [next(marks) for _ in range(length or 0)]


def _mark(images: Any) -> list[bool | None]:
    if kinds.is_struct(images.type):  # {bytes, path}, as the hub keeps images
        fields = [compute.struct_field(images, [place]) for place in range(images.type.num_fields)]
        there = reduce(compute.or_, map(_hold_something, fields))
    else:
        there = _hold_something(images)
    return [mark or None for mark in there.to_pylist()]


def _hold_something(values: Any) -> Any:
    if kinds.is_binary(values.type) or kinds.is_large_binary(values.type) or kinds.is_string(values.type):
        return compute.fill_null(compute.greater(compute.binary_length(values), 0), False)
    return compute.is_valid(values)
