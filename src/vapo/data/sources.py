"""Find the rows behind what a user calls a data set: a name, a folder, a file, or an object in memory."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from vapo.data.claim_lines import ClaimLines, holds_claim_lines
from vapo.data.csv_rows import CsvRows
from vapo.data.folders import find_parts
from vapo.data.image_files import Folder
from vapo.data.image_folders import holds_bare_images
from vapo.data.json_lines import JsonLinesRows
from vapo.data.rows import DatasetRows, ListRows, Rows
from vapo.data.untyped import import_untyped
from vapo.errors import DataError

Part = TypeVar("Part")

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_MARKS_OF_SAVED = ("dataset_dict.json", "state.json")


def open_rows(source: object, split: str | None = "train") -> Rows:
    """Open a data set without reading its images.

    Args:
        source: the name of a data set on the Hugging Face hub; a folder that `save_to_disk` wrote, or that holds
            Parquet or JSON Lines files; such a file, or a CSV or TSV file; a `datasets.Dataset` or `DatasetDict`; or
            a list of dicts.
        split: which part to read; None for the only one there is. A single file is the part `train`.

    Raises:
        DataError: there is nothing of that name, it cannot be read, or it has no such split.
    """
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        if path.is_dir():
            return _open_folder(path, split)
        if path.exists():
            return _open_file(path, split)
        return _open_hub(str(source), split)
    if isinstance(source, Sequence):
        _choose_split({"train": None}, split, "a list of rows")
        return ListRows(cast("Sequence[Mapping[str, Any]]", source))
    return _open_object(source, split)


def _open_object(source: object, split: str | None) -> Rows:
    datasets = import_untyped("datasets")
    if isinstance(source, datasets.DatasetDict):
        dataset = _choose_split(cast("Mapping[str, Any]", source), split, "the DatasetDict given")
    else:
        dataset = cast("Any", source)
    if not isinstance(dataset, datasets.Dataset):
        raise DataError(
            f"data of type {type(source).__name__} cannot be read by row; give a datasets.Dataset (not a streaming "
            "one), a list of dicts, or the name of a file, a folder or a data set on the hub"
        )
    if dataset is source:
        _check_only_split(dataset, split, "the Dataset given")
    if dataset.format["type"] == "custom":
        raise DataError("the Dataset given has a transform, which would be lost; apply it with .map() first")
    return DatasetRows(dataset, "the Dataset given")


def _open_file(path: Path, split: str | None) -> Rows:
    _choose_split({"train": None}, split, f"the file {path}")
    if path.suffix == ".parquet":
        return _open_parquet([path], path.parent, str(path))
    if path.suffix == ".jsonl":
        return JsonLinesRows([path], path.parent, str(path))
    if path.suffix in (".csv", ".tsv"):
        rows = CsvRows(path, path.parent, str(path))
        return ClaimLines(rows) if holds_claim_lines(rows.columns) else rows
    raise DataError(
        f"{path} has the unknown extension {path.suffix!r}; a data file ends in .parquet, .jsonl (one JSON object per "
        "line), .csv or .tsv"
    )


def _open_folder(path: Path, split: str | None) -> Rows:
    if any((path / mark).is_file() for mark in _MARKS_OF_SAVED):
        return _open_saved(path, split)
    parts = find_parts(path)
    files = _choose_split(parts, split, f"the folder {path}")
    if files[0].suffix == ".parquet":
        return _open_parquet(files, path, str(path))
    return JsonLinesRows(files, path, str(path))


def _open_saved(path: Path, split: str | None) -> Rows:
    datasets = import_untyped("datasets")
    for part in _list_saved_parts(path):
        _check_saved_files(part, path)
    try:
        saved = datasets.load_from_disk(str(path))
    except Exception as error:  # Arrow's and datasets' errors have no common base
        raise DataError(f"the folder {path} cannot be read: {_say(error)}") from error
    if isinstance(saved, datasets.DatasetDict):
        saved = _choose_split(cast("Mapping[str, Any]", saved), split, f"the folder {path}")
    else:
        _check_only_split(saved, split, f"the folder {path}")
    return DatasetRows(saved, str(path), Folder(path, path))


def _list_saved_parts(path: Path) -> list[Path]:
    """Return the folders that `load_from_disk` reads a saved data set from."""
    record = path / "dataset_dict.json"
    parts = [path] if (path / "state.json").is_file() else []
    for name in _read_record(record, "splits") if record.is_file() else ():
        if not isinstance(name, str) or set(name) & set("/\\:") or name.strip(".") == "":
            raise DataError(
                f"the folder {path} cannot be read: {record} names the split {name!r}, which is no folder in it; save "
                "the data set anew"
            )
        parts.append(path / name)
    return parts


def _check_saved_files(part: Path, root: Path) -> None:
    """Raise DataError where a saved data set names files that are not its own."""
    record = part / "state.json"
    for file in _read_record(record, "_data_files"):
        name = cast("dict[str, Any]", file).get("filename") if isinstance(file, dict) else None
        found = (part / name).resolve() if isinstance(name, str) and "\0" not in name else None
        if found is None or not found.is_relative_to(root.resolve()) or not found.is_file():
            raise DataError(
                f"the folder {root} cannot be read: {record} names the file {name!r}, which is none in it; save the "
                "data set anew"
            )


def _read_record(record: Path, field: str) -> list[Any]:
    try:
        value = json.loads(record.read_text(encoding="utf-8"))[field]
    except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
        raise DataError(f"{record} cannot be read ({_say(error)}); save the data set anew") from error
    if not isinstance(value, list):
        raise DataError(f"{record} has no list {field!r}; save the data set anew")
    return cast("list[Any]", value)


def _open_parquet(files: Sequence[Path], root: Path, source: str) -> Rows:
    """Open Parquet files; `datasets` converts them once to Arrow in its cache, for reading rows in any order."""
    parquet, datasets = import_untyped("pyarrow.parquet"), import_untyped("datasets")
    for file in files:
        try:
            parquet.read_metadata(file)
        except Exception as error:  # Arrow's errors are OSError and ValueError and its own
            raise DataError(f"{file} cannot be read as Parquet: {_say(error)}") from error
    try:
        dataset = datasets.Dataset.from_parquet([str(file) for file in files])
    except Exception as error:  # as above
        raise DataError(
            f"{source} cannot be read as Parquet: {_find_mixed_types(files, parquet) or _say(error)}"
        ) from error
    return DatasetRows(dataset, source, Folder(files[0].parent, root))


def _find_mixed_types(files: Sequence[Path], parquet: Any) -> str | None:
    """Return which column has another type in one file than in another; None if there is none."""
    seen: dict[str, tuple[Any, Path]] = {}
    for file in files:
        for field in parquet.read_schema(file):
            kind, first = seen.setdefault(field.name, (field.type, file))
            if kind != field.type:
                return (
                    f"column {field.name!r} is {kind} in {first.name} and {field.type} in {file.name}; write it in "
                    "one type"
                )
    return None


def _open_hub(name: str, split: str | None) -> Rows:
    _check_hub_name(name)
    datasets, constants = import_untyped("datasets"), import_untyped("huggingface_hub.constants")
    try:
        names: list[str] = datasets.get_dataset_split_names(name)
        chosen = _choose_split({name: name for name in names}, split, f"the data set {name}")
        dataset = datasets.load_dataset(name, split=chosen)
    except DataError:
        raise
    except Exception as error:  # network, permission and format errors have no common base
        raise DataError(_say_not_loaded(name, error)) from error
    cache = Path(constants.HF_HUB_CACHE) / f"datasets--{name.replace('/', '--')}"
    return DatasetRows(dataset, name, Folder(cache, cache))


def choose_split(source: str, preferred: str) -> str | None:
    """Return the split to read of a data set where none was named: the only one there is, else the preferred one.

    Args:
        source: a name, a folder or a file, see `open_rows`.
        preferred: taken where there are several and it is one of them.

    Returns:
        None for a data set whose only split has no name.

    Raises:
        DataError: there are several, and the preferred one is none of them; or there is no such data.
    """
    names = _list_splits(source)
    if len(names) < 2:
        return names[0] if names else None
    return preferred if preferred in names else _choose_split(dict.fromkeys(names, None), None, source)


def _list_splits(source: str) -> list[str]:
    path = Path(source).expanduser()
    if path.is_dir():
        if (path / "dataset_dict.json").is_file():
            return [part.name for part in _list_saved_parts(path) if part != path]
        return [] if (path / "state.json").is_file() or holds_bare_images(path) else list(find_parts(path))
    if path.exists():
        return ["train"]
    _check_hub_name(source)
    try:
        return list(import_untyped("datasets").get_dataset_split_names(source))
    except Exception as error:  # network, permission and format errors have no common base
        raise DataError(_say_not_loaded(source, error)) from error


def list_files(source: str, split: str | None) -> list[Path]:
    """Return the files that `open_rows` reads rows from; none for a data set on the hub.

    Raises:
        DataError: the folder holds no data, or has no such split.
    """
    path = Path(source).expanduser()
    if not path.is_dir():
        return [path] if path.is_file() else []
    if any((path / mark).is_file() for mark in _MARKS_OF_SAVED):
        part = path / split if split is not None and (path / split).is_dir() else path
        return sorted(part.glob("**/*.arrow"))
    return _choose_split(find_parts(path), split, f"the folder {path}")


def find_commit(name: str) -> str | None:
    """Return the commit at which a data set of the hub lies in the cache; None if that is not known."""
    constants = import_untyped("huggingface_hub.constants")
    reference = Path(constants.HF_HUB_CACHE) / f"datasets--{name.replace('/', '--')}" / "refs" / "main"
    return reference.read_text(encoding="utf-8").strip() if reference.is_file() else None


def _check_only_split(dataset: Any, split: str | None, source: str) -> None:
    own = str(dataset.split or "train")
    _choose_split(dict.fromkeys([own, "train"]), split or own, source)


def _choose_split(parts: Mapping[str, Part], split: str | None, source: str) -> Part:
    names = ", ".join(parts)
    if split is None and len(parts) > 1:
        raise DataError(f"{source} has the splits {names}; choose one with split (--split)")
    chosen = split if split is not None else next(iter(parts), "train")
    if chosen not in parts:
        remedy = "; it is taken where no split is named" if len(parts) == 1 else ""
        raise DataError(f"{source} has no split {chosen!r}; it has {names}{remedy}")
    return parts[chosen]


def _check_hub_name(name: str) -> None:
    if not _HUB_NAME.fullmatch(name) or name.endswith((".parquet", ".jsonl", ".json", ".csv", ".tsv")):
        raise DataError(f"there is no file or folder {name}; check the path (a name on the hub reads OWNER/NAME)")


def _say_not_loaded(name: str, error: Exception) -> str:
    return (
        f"there is no file or folder {name}, and as a data set on the Hugging Face hub it cannot be loaded: "
        f"{_say(error)}"
    )


def _say(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
