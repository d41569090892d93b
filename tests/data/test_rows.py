"""A data set's own metadata says what its columns are to be decoded as; nothing of it is."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pyarrow.parquet
import pytest
from datasets import Audio, Dataset, Features, Image, Json, LargeList, List, Pdf, Value, Video

from vapo.data.columns import Columns
from vapo.data.images import ImagePolicy
from vapo.data.row_files import write_rows
from vapo.data.rows import DatasetRows
from vapo.data.samples import load_samples, prepare_reader
from vapo.data.sources import open_rows
from vapo.errors import DataError

TEXTS = {"problem": Value("string"), "answer": Value("string")}

Open = Callable[[Features, list[dict[str, Any]], Path], Any]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[str]]]:
    """Addresses that were visited, of a server at the address told first, to which images may lead."""
    monkeypatch.setenv("VAPO_IMAGE_HOSTS", "127.0.0.1")
    visited: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            visited.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", visited
        server.shutdown()


def write_parquet(features: Features, rows: list[dict[str, Any]], folder: Path) -> Path:
    table = pyarrow.Table.from_pylist(rows, schema=features.arrow_schema)
    (folder / "data").mkdir()
    pyarrow.parquet.write_table(table, folder / "data" / "train-00000-of-00001.parquet")
    return folder / "data" / "train-00000-of-00001.parquet"


def write_folder(features: Features, rows: list[dict[str, Any]], folder: Path) -> Path:
    return write_parquet(features, rows, folder).parent.parent


def make_object(features: Features, rows: list[dict[str, Any]], folder: Path) -> Dataset:
    table = pyarrow.Table.from_pylist(rows, schema=features.arrow_schema)
    return Dataset(table, info=datasets.DatasetInfo(features=features))


def save(features: Features, rows: list[dict[str, Any]], folder: Path) -> Path:
    """Write what `save_to_disk` writes; it would itself open the paths of the rows."""
    saved = folder / "saved" / "train"
    saved.mkdir(parents=True)
    schema = features.arrow_schema
    with pyarrow.OSFile(str(saved / "data.arrow"), "wb") as file, pyarrow.ipc.new_stream(file, schema) as stream:
        stream.write_table(pyarrow.Table.from_pylist(rows, schema=schema))
    state = dict.fromkeys(("_fingerprint", "_format_columns", "_format_type", "_output_all_columns", "_split"))
    state |= {"_data_files": [{"filename": "data.arrow"}], "_format_kwargs": {}, "_fingerprint": "a"}
    (saved / "state.json").write_text(json.dumps(state))
    (saved / "dataset_info.json").write_text(json.dumps({"features": features.to_dict()}))
    return saved


def save_splits(features: Features, rows: list[dict[str, Any]], folder: Path) -> Path:
    saved = save(features, rows, folder).parent
    (saved / "dataset_dict.json").write_text(json.dumps({"splits": ["train"]}))
    return saved


WRAPPINGS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "bare": (lambda kind: kind, lambda value: value),
    "list": (List, lambda value: [value]),
    "large list": (LargeList, lambda value: [value]),
    "struct": (lambda kind: {"inner": kind}, lambda value: {"inner": value}),
    "list in a struct": (lambda kind: {"inner": List(kind)}, lambda value: {"inner": [value]}),
    "struct in lists": (lambda kind: List(List({"inner": kind})), lambda value: [[{"inner": value}]]),
}


@pytest.mark.parametrize("open_as", [write_parquet, write_folder, make_object, save, save_splits])
@pytest.mark.parametrize("kind", [Image(), Audio(), Video(), Pdf()], ids=lambda kind: type(kind).__name__)
def test_no_path_or_address_of_a_column_is_opened(
    kind: Any, open_as: Open, asked: tuple[str, list[str]], tmp_path: Path, png: bytes
) -> None:
    address, visited = asked
    secret = tmp_path / "secret.png"
    secret.write_bytes(png)
    features = Features({**TEXTS, **{name: wrap(kind) for name, (wrap, _) in WRAPPINGS.items()}})
    rows = [
        {
            "problem": "What is this?",
            "answer": "a temple",
            **{name: fill({"bytes": None, "path": path}) for name, (_, fill) in WRAPPINGS.items()},
        }
        for path in (f"{address}/x.png", str(secret))
    ]
    found = open_rows(open_as(features, rows, tmp_path))
    assert [found.read(index) for index in range(2)] == rows
    assert visited == []


@pytest.mark.parametrize("open_as", [write_parquet, make_object, save])
@pytest.mark.parametrize("wrapping", ["bare", "list", "large list"])
def test_a_column_of_images_asks_for_leave_however_it_is_typed(
    wrapping: str, open_as: Open, asked: tuple[str, list[str]], tmp_path: Path
) -> None:
    address, visited = asked
    wrap, fill = WRAPPINGS[wrapping]
    row = {"problem": "What?", "answer": "a", "images": fill({"bytes": None, "path": f"{address}/x.png"})}
    source = open_as(Features({**TEXTS, "images": wrap(Image())}), [row], tmp_path)
    with pytest.raises(DataError, match="is a URL; download it into the data folder, or pass --allow-urls"):
        load_samples(source)
    assert visited == []
    with pytest.raises(DataError, match="could not be fetched"):
        load_samples(source, allow_urls=True)
    assert set(visited) == {"/x.png"}


def test_rows_are_copied_with_what_they_hold(tmp_path: Path, png: bytes) -> None:
    features = Features({**TEXTS, "images": List(Image()), "more": {"thumb": Image(), "sounds": List(Audio())}})
    more = {"thumb": {"bytes": png, "path": "a.png"}, "sounds": [{"bytes": b"RIFF", "path": None}]}
    row = {"problem": "What?", "answer": "a", "images": [{"bytes": png, "path": "a.png"}], "more": more}
    source = write_parquet(features, [row], tmp_path)
    reader, count = prepare_reader(source, split="train", columns=Columns(), image_folder=None, whole_rows=True)
    write_rows(tmp_path / "copy.parquet", reader, range(count), policy=ImagePolicy())
    assert open_rows(tmp_path / "copy.parquet").read(0) == row


def test_json_is_text_and_is_read() -> None:
    claims = [{"text": "It is red.", "is_true": True}]
    rows = DatasetRows(Dataset.from_dict({"claims": [claims]}, features=Features({"claims": Json()})), "rows")
    assert rows.read(0) == {"claims": claims}


def test_a_row_that_cannot_be_read_is_a_broken_row() -> None:
    table = pyarrow.table({"claims": pyarrow.array(["{"], pyarrow.json_())})
    rows = DatasetRows(Dataset(table, info=datasets.DatasetInfo(features=Features({"claims": Json()}))), "rows")
    with pytest.raises(DataError, match="the row cannot be read"):
        rows.read(0)


def test_the_callers_data_set_is_not_changed(png: bytes) -> None:
    given = Dataset.from_dict({"a": [[{"bytes": png, "path": None}]]}, features=Features({"a": List(Image())}))
    assert DatasetRows(given, "rows").read(0) == {"a": [{"bytes": png, "path": None}]}
    assert given[0]["a"][0].size == (96, 64)
