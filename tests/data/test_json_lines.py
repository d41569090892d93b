from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from vapo.data.json_lines import JsonLinesRows
from vapo.data.sources import open_rows
from vapo.errors import DataError


def open_text(folder: Path, *texts: bytes) -> JsonLinesRows:
    files = [folder / f"part-{number}.jsonl" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_bytes(text)
    return JsonLinesRows(files, folder, "rows")


def test_rows_of_several_files_are_read_in_order(tmp_path: Path) -> None:
    rows = open_text(tmp_path, b'{"a": 1}\n{"a": 2, "b": 0}\n', b'{"c": "\xc3\xa9"}')
    assert [rows.read(index) for index in range(len(rows))] == [{"a": 1}, {"a": 2, "b": 0}, {"c": "é"}]
    assert rows.columns == ("a", "b", "c")
    assert rows.locate(2) == "row 2 (part-1.jsonl, line 1)"


def test_blank_lines_byte_order_marks_and_windows_ends_are_no_trouble(tmp_path: Path) -> None:
    rows = open_text(tmp_path, b'\xef\xbb\xbf{"a": 1}\r\n\r\n  \n{"a": 2}\r\n\n')
    assert [rows.read(index) for index in range(len(rows))] == [{"a": 1}, {"a": 2}]
    assert rows.locate(1) == "row 1 (part-0.jsonl, line 4)"


@pytest.mark.parametrize("text", [b'[{"a": 1}, {"a": 2}]', b'\xef\xbb\xbf\n[\n  {"a": 1}\n]\n'])
def test_a_json_list_is_said_to_be_one(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(DataError, match=r"part-1\.jsonl is one JSON list, not JSON Lines; write each"):
        open_text(tmp_path, b'{"a": 0}', text)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"a": 1', "the line is not JSON: Expecting"),
        (b'{"a": "\xff"}', "the line is not JSON: .*utf-8"),
        (b"[1]", "the line holds a list, not an object"),
        (b"[" * 200_000, "the line is not JSON"),
    ],
)
def test_a_broken_line_is_a_broken_row(tmp_path: Path, line: bytes, message: str) -> None:
    rows = open_text(tmp_path, b'{"a": 1}\n' + line + b'\n{"a": 3}\n')
    assert len(rows) == 3
    assert rows.read(2) == {"a": 3}
    with pytest.raises(DataError, match=message):
        rows.read(1)


def test_rows_can_be_sent_to_a_worker(tmp_path: Path) -> None:
    rows = pickle.loads(pickle.dumps(open_text(tmp_path, b'{"a": 1}\n{"a": 2}\n')))
    assert rows.read(1) == {"a": 2}


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl cannot be read: No such file"):
        JsonLinesRows([tmp_path / "none.jsonl"], tmp_path, "rows")


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_an_endless_line_is_not_read_to_its_end(tmp_path: Path, kind: str) -> None:
    """A terabyte of nothing, which takes no place on the disk."""
    file = tmp_path / f"rows.{kind}"
    with file.open("wb") as stream:
        stream.truncate(10**12)
    with pytest.raises(DataError, match=r"line 1 is longer than 32 MiB; write one row a line"):
        open_rows(file)


def test_long_lines_are_read(tmp_path: Path) -> None:
    rows = open_text(tmp_path, b'{"a": "' + b"x" * 10**6 + b'"}\n{"a": "y"}\n')
    assert len(rows.read(0)["a"]) == 10**6 and rows.read(1) == {"a": "y"}
