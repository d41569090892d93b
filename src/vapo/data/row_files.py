"""Write rows of a data set to a Parquet file that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from vapo.atomic_files import atomic_file
from vapo.data.image_files import take_value
from vapo.data.images import ImagePolicy, read_image
from vapo.data.row_reader import RowReader, read_images
from vapo.data.rows import DatasetRows
from vapo.data.untyped import import_untyped
from vapo.errors import ConfigError, DataError
from vapo.types import Claim

FindClaims = Callable[[int], Sequence[Claim]]
"""Returns the claims of a row, by its number."""

_ROWS_TOGETHER = 256


def check_parquet_name(path: Path) -> None:
    """Raise ConfigError unless a file to be written is called as Parquet files are, and its folder is there."""
    if path.suffix != ".parquet":
        raise ConfigError(f"{path} is to be a Parquet file; call it {path.with_suffix('.parquet').name}")
    if not path.parent.is_dir():
        raise ConfigError(f"there is no folder {path.parent}; make it first")


def write_rows(
    path: Path,
    reader: RowReader,
    indices: Sequence[int],
    *,
    find_claims: FindClaims | None = None,
    policy: ImagePolicy = ImagePolicy(),
) -> None:
    """Write rows with all their columns, images inside. The file appears whole or not at all.

    Args:
        path: the file, replaced if it is there.
        reader: reads the rows, all columns of them.
        indices: which rows.
        find_claims: gives the claims that take the place of those a row has; None leaves these as they are. They stand
            in a column `claims`, or the one that held them.
        policy: which images may be read.

    Raises:
        DataError: there is no row, an image cannot be read, or a column holds values that no one type can.
        OSError: the file cannot be written.
    """
    if not indices:
        raise DataError(f"no row of {reader.rows.source} is left, so {path} is not written")
    parquet = import_untyped("pyarrow.parquet")
    layout = reader.layout
    dropped = {layout.images}
    if find_claims is not None:
        dropped |= {layout.claims, *(name for pair in layout.claim_pairs for name in pair)}
    plain = [name for name in reader.rows.columns if name not in dropped]
    claims_column = (layout.claims or "claims") if find_claims is not None else None
    schema = _find_schema(reader, indices, plain, claims_column)
    with atomic_file(path) as temporary, parquet.ParquetWriter(temporary, schema) as writer:
        for chunk in _chunks(indices):
            rows = [_make_row(reader, index, plain, claims_column, find_claims, policy) for index in chunk]
            writer.write_table(_make_table(rows, schema, reader))


def _make_row(
    reader: RowReader,
    index: int,
    plain: Sequence[str],
    claims_column: str | None,
    find_claims: FindClaims | None,
    policy: ImagePolicy,
) -> dict[str, Any]:
    row = reader.rows.read(index)
    made = {name: row.get(name) for name in plain}
    if reader.layout.images is not None:
        folder = reader.find_folder(index)
        try:
            images = [
                {"bytes": read_image(image, folder, policy), "path": _name_image(image)}
                for image in read_images(row, reader.layout)
            ]
        except DataError as error:
            raise DataError(f"{reader.rows.source}, {reader.rows.locate(index)}: {error}") from error
        made[reader.layout.images] = (images or [None])[0] if _holds_single_images(reader) else images
    if find_claims is not None and claims_column is not None:
        made[claims_column] = [{"text": claim.text, "is_true": claim.is_true} for claim in find_claims(index)]
    return made


def _name_image(image: object) -> str | None:
    """Return the name of an image's file, without its folder."""
    path = cast("Mapping[str, Any]", image).get("path") if isinstance(image, Mapping) else take_value(image)
    return Path(path).name if isinstance(path, str | Path) else None


def _find_schema(reader: RowReader, indices: Sequence[int], plain: Sequence[str], claims_column: str | None) -> Any:
    """Find a type for each copied column: its own, or that of its values; images and new claims have theirs."""
    arrow, datasets = import_untyped("pyarrow"), import_untyped("datasets")
    own = {name: feature for name, feature in _list_features(reader).items() if _can_be_written(feature)}
    untyped = [name for name in plain if name not in own]
    rows = reader.rows.keep(untyped) if untyped else reader.rows
    known: dict[str, Any] = {name: arrow.null() for name in untyped}
    for chunk in _chunks(indices) if untyped else ():
        read = [rows.read(index) for index in chunk]
        for name in untyped:
            try:
                found = arrow.schema([(name, arrow.infer_type([row.get(name) for row in read]))])
                merged = arrow.unify_schemas(
                    [arrow.schema([(name, known[name])]), found], promote_options="permissive"
                )
            except (arrow.ArrowInvalid, arrow.ArrowTypeError) as error:
                raise _describe_mixed(reader, name, error) from error
            known[name] = merged.field(0).type
    # An empty column has no type; text is what may come into it later.
    fields = [(name, arrow.string() if arrow.types.is_null(kind) else kind) for name, kind in known.items()]
    found = datasets.Features.from_arrow_schema(arrow.schema(fields))
    features = datasets.Features({name: own.get(name) or found[name] for name in plain})
    images = reader.layout.images
    if images is not None:
        features[images] = datasets.Image() if _holds_single_images(reader) else datasets.List(datasets.Image())
    if claims_column is not None:
        features[claims_column] = datasets.List({"text": datasets.Value("string"), "is_true": datasets.Value("bool")})
    return features.arrow_schema


def _list_features(reader: RowReader) -> Mapping[str, Any]:
    """Return the types of columns as `datasets` has them; none of rows that have none."""
    return reader.rows.features if isinstance(reader.rows, DatasetRows) else {}


def _holds_single_images(reader: RowReader) -> bool:
    return isinstance(_list_features(reader).get(reader.layout.images or ""), import_untyped("datasets").Image)


def _can_be_written(feature: Any) -> bool:
    """Return whether values, as they are read, can be written with a type of `datasets`."""
    arrow, datasets = import_untyped("pyarrow"), import_untyped("datasets")
    stored = datasets.Features({"column": feature}).arrow_schema.field(0).type
    return not isinstance(stored, arrow.BaseExtensionType) and "Json(" not in repr(feature)


def _make_table(rows: list[dict[str, Any]], schema: Any, reader: RowReader) -> Any:
    arrow = import_untyped("pyarrow")
    columns: list[Any] = []
    for field in schema:
        try:
            columns.append(arrow.array([row[field.name] for row in rows], type=field.type))
        except (arrow.ArrowInvalid, arrow.ArrowTypeError) as error:  # inference looks at lists more kindly
            raise _describe_mixed(reader, field.name, error) from error
    return arrow.Table.from_arrays(columns, schema=schema)


def _describe_mixed(reader: RowReader, column: str, error: Exception) -> DataError:
    return DataError(
        f"{reader.rows.source}: column {column!r} holds values of several types ({error}); make them alike, or drop "
        "the column"
    )


def _chunks(indices: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(indices), _ROWS_TOGETHER):
        yield indices[start : start + _ROWS_TOGETHER]
