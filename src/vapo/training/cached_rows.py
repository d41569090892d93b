"""The data set that TRL trains on, whose rows are read once for all the times that it asks for them.

For each rollout TRL's sampler names every prompt once per completion, and names all of them anew in every micro-step
that trains on the rollout. A `datasets.Dataset` opens the images each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import wraps
from typing import Any

from datasets import Dataset
from PIL.Image import Image

from vapo.errors import DataError
from vapo.training.sample_rows import SampleRows, list_references
from vapo.types import Sample


def make_training_rows(
    samples: Sequence[Sample],
    *,
    system_prompt: str | None = None,
) -> Dataset:
    """Return a `datasets.Dataset` with the columns prompt, images, answer, claims and id, decoded row by row.

    Behind them come the other columns of what `load_samples` loaded, as the data hold them. Rows can be mapped,
    filtered, selected, split, shuffled and given further columns. `.filter()` and `.map()` open the images of a row
    unless `input_columns` names columns without them.

    Args:
        samples: what to train on, for example `load_samples(...)`.
        system_prompt: put before every question.
    """
    return CachedRows.of(SampleRows(samples, system_prompt).make_dataset())


class CachedRows(Dataset):
    """A data set that keeps the rows of the last batch that a data loader asked for.

    The rows of a batch are copies: what is done to one of them changes no other. A worker that loads data keeps rows
    of its own. Rows are read anew where the user's own transform makes them, which may differ each time.
    """

    @classmethod
    def of(cls, dataset: Dataset) -> CachedRows:
        """Return a view of a data set."""
        view = cls.__new__(cls)
        view.__setstate__(dataset.__dict__)
        view._kept = {}
        return view

    def __getitems__(self, keys: list[int]) -> list[dict[str, Any]]:
        """Return the rows of a batch, as data loaders ask for them."""
        if not reads_the_same_twice(self):
            return super().__getitems__(keys)
        wanted = list(dict.fromkeys(keys))
        self._kept = {key: self._kept[key] for key in wanted if key in self._kept}
        missing = [key for key in wanted if key not in self._kept]
        if missing:
            self._kept.update(zip(missing, super().__getitems__(missing), strict=True))
        return [_copy(self._kept[key]) for key in keys]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": {}}


def _refusing(name: str) -> Any:
    method = getattr(Dataset, name)

    @wraps(method)
    def call(self: Dataset, *args: Any, **options: Any) -> Any:
        if list_references(self):
            raise DataError(
                f".{name}() cannot be had of make_training_rows, whose values are read when a row is asked for; do it "
                "with the data before load_samples, or use .map(), .filter(), .select(), .shuffle()"
            )
        return method(self, *args, **options)

    return call


def _keeping(name: str) -> Any:
    method = getattr(Dataset, name)

    @wraps(method)
    def call(self: Dataset, *args: Any, **options: Any) -> Any:
        return cache_rows(method(self, *args, **options))

    return call


_OF_ROWS = (
    *("add_column", "add_item", "cast", "cast_column", "filter", "flatten_indices", "map", "remove_columns", "repeat"),
    *("rename_column", "rename_columns", "select", "select_columns", "shard", "shuffle", "skip", "take"),
    *("train_test_split", "with_format", "with_transform"),
)
"""What gives a further data set, in which the same is refused."""
for _name in _OF_ROWS:
    setattr(CachedRows, _name, _keeping(_name))

_OF_WHOLE_COLUMNS = (
    *("class_encode_column", "flatten", "sort", "unique", "save_to_disk", "push_to_hub", "to_iterable_dataset"),
    *("to_csv", "to_dict", "to_json", "to_list", "to_pandas", "to_parquet", "to_polars", "to_sql"),
)
for _name in _OF_WHOLE_COLUMNS:
    setattr(CachedRows, _name, _refusing(_name))


def cache_rows(data: Any) -> Any:
    """Return a data set, or data sets by name, with rows that are kept for the next batch; a stream as it is."""
    if isinstance(data, dict):
        return type(data)({name: cache_rows(dataset) for name, dataset in data.items()})
    return CachedRows.of(data) if isinstance(data, Dataset) and not isinstance(data, CachedRows) else data


def reads_the_same_twice(dataset: Dataset) -> bool:
    """Return whether a row is certain to be the same each time it is read."""
    form = dataset.format
    return form["type"] is None or isinstance(form["format_kwargs"].get("transform"), SampleRows)


def _copy(value: Any) -> Any:
    if isinstance(value, Image):
        twin = value.copy()
        twin.format = value.format
        return twin
    if isinstance(value, dict):
        return {name: _copy(item) for name, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
