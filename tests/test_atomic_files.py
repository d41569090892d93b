from __future__ import annotations

import pytest

from vapo.atomic_files import atomic_file, atomic_folder, write_atomically


def test_a_draft_takes_its_place_when_it_is_whole(tmp_path):
    path = tmp_path / "rows.bin"
    path.write_bytes(b"old")
    with atomic_file(path) as temporary:
        temporary.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_draft_that_fails_leaves_everything_as_it_was(tmp_path):
    path = tmp_path / "rows.bin"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), atomic_file(path) as temporary:
        temporary.write_bytes(b"half")
        raise ZeroDivisionError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_text_is_replaced_at_once(tmp_path):
    path = tmp_path / "note.json"
    write_atomically(path, "é\n")
    write_atomically(path, "ü\n")
    assert path.read_bytes() == "ü\n".encode()
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "missing" / "note.json", "")


def test_a_folder_takes_its_place_when_it_is_whole(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    with atomic_folder(path) as temporary:
        (temporary / "weights").write_text("all")
        assert list(path.iterdir()) == []
    assert [file.name for file in path.iterdir()] == ["weights"]
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "other") as temporary:
        (temporary / "weights").write_text("half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == [path]
