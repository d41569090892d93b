"""Rows as they stand in a source, before anything is known of what they mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, cast

from vapo.data.image_files import Folder
from vapo.errors import DataError


class Rows(Protocol):
    """A table that is read row by row; rows are counted from 0."""

    @property
    def source(self) -> str:
        """The name of the table, for messages."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns."""
        ...

    def __len__(self) -> int: ...

    def read(self, index: int) -> Mapping[str, Any]:
        """Read one row; images stay encoded. Raises DataError where the row itself is broken."""
        ...

    def folder(self, index: int) -> Folder | None:
        """Where image paths of this row lead; None where paths have no meaning."""
        ...

    def locate(self, index: int) -> str:
        """Say where a row stands, for messages: `row 17`, or `row 17 (train.jsonl, line 18)`."""
        ...

    def keep(self, columns: Sequence[str]) -> Rows:
        """Read only these columns from now on."""
        ...


class ListRows:
    """Rows that are held in memory as a list of dicts."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.source = "the rows given"
        self.columns = tuple(dict.fromkeys(name for row in rows for name in row))
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, index: int) -> Mapping[str, Any]:
        return self._rows[index]

    def folder(self, index: int) -> Folder | None:
        return None

    def locate(self, index: int) -> str:
        return f"row {index}"

    def keep(self, columns: Sequence[str]) -> ListRows:
        return self


class DatasetRows:
    """Rows of a `datasets.Dataset`, in which nothing is decoded: images are handed on as their encoded bytes.

    What a column is to be decoded as stands in the data's own metadata, at any depth, and `datasets` opens whatever
    path or address a row names for it.
    """

    def __init__(
        self, dataset: Any, source: str, folder: Folder | None = None, features: Mapping[str, Any] | None = None
    ) -> None:
        self.source = source
        self.columns: tuple[str, ...] = tuple(dataset.column_names)
        self.features: Mapping[str, Any] = dict(dataset.features) if features is None else features
        self._dataset = _leave_encoded(dataset)
        self._folder = folder

    def __len__(self) -> int:
        return len(self._dataset)

    def read(self, index: int) -> Mapping[str, Any]:
        try:
            return self._dataset[index]
        except Exception as error:  # Arrow's and datasets' errors have no common base
            raise DataError(f"the row cannot be read: {str(error) or type(error).__name__}") from error

    def folder(self, index: int) -> Folder | None:
        return self._folder

    def locate(self, index: int) -> str:
        return f"row {index}"

    def keep(self, columns: Sequence[str]) -> DatasetRows:
        features = {name: self.features[name] for name in columns}
        return DatasetRows(self._dataset.select_columns(list(columns)), self.source, self._folder, features)


def _leave_encoded(dataset: Any) -> Any:
    dataset = dataset.with_format(None)  # a copy
    dataset.info.features = type(dataset.features)(
        {name: _without_decoding(feature) for name, feature in dataset.features.items()}
    )
    return dataset


def _without_decoding(feature: Any) -> Any:
    """Return the feature of a column with nothing in it that is decoded, but JSON, which is text."""
    if isinstance(feature, Mapping):
        return {name: _without_decoding(inner) for name, inner in cast("Mapping[str, Any]", feature).items()}
    if isinstance(feature, list | tuple):
        return [_without_decoding(inner) for inner in cast("Sequence[Any]", feature)]
    changes: dict[str, Any] = {}
    if hasattr(feature, "feature"):  # of a list, whatever its kind
        changes["feature"] = _without_decoding(feature.feature)
    if hasattr(feature, "decode_example") and type(feature).__name__ != "Json":
        changes["decode"] = False
    return replace(feature, **changes) if changes else feature
