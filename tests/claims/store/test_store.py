"""A store is one file that a killed process, a full disk or another program cannot break."""

from __future__ import annotations

import os
import signal
import sqlite3
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vapo.claims.store.images import StoredImage, add_image_set, list_image_sets
from vapo.claims.store.schema import VERSION
from vapo.claims.store.store import Store, StoreError


def image(name: str, size: int = 10) -> StoredImage:
    return StoredImage(name, 4, 3, "image/png", bytes(size))


def test_a_store_is_made_once_and_opened_again(tmp_path: Path):
    path = tmp_path / "claims.db"
    with pytest.raises(StoreError, match=r"no store .*claims\.db; make one with `vapo claims make"):
        Store(path)
    with Store(path, create=True) as store, store.writing():
        add_image_set(store, [image("a")])
    with Store(path) as store:
        assert list_image_sets(store) == [1] and store.find_damage() is None
    with Store(path, create=True) as store:
        assert list_image_sets(store) == [1]


def test_two_openers_make_one_store(tmp_path: Path):
    path = tmp_path / "claims.db"
    opened: list[int] = []

    def open_and_close() -> None:
        with Store(path, create=True) as store:
            opened.append(len(store.read("SELECT name FROM sqlite_master WHERE type = 'table'")))

    threads = [threading.Thread(target=open_and_close) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 8 and len(set(opened)) == 1


def test_a_newer_store_is_refused_and_left_alone(tmp_path: Path):
    path = tmp_path / "claims.db"
    Store(path, create=True).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=f"newer vapo .* version {VERSION + 1}, this one knows {VERSION}.*upgrade"):
        Store(path, create=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to be looked at " * 40])
def test_what_is_no_store_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "claims.db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="no store of claims"):
        Store(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [b"x", b"a shopping list\n"])
def test_a_short_file_is_not_written_over(tmp_path: Path, content: bytes):
    """To SQLite, what is shorter than a page is an empty database."""
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="no store of claims"):
        Store(path, create=True)
    assert path.read_bytes() == content


def test_another_programs_database_is_refused(tmp_path: Path):
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE mine (x)")
    for create in (False, True):
        with pytest.raises(StoreError, match="no store of claims"):
            Store(path, create=create)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path):
    with pytest.raises(StoreError, match="cannot be written"):
        Store(tmp_path / "nowhere" / "claims.db", create=True)


def test_what_raises_inside_a_transaction_is_undone(store: Store):
    with pytest.raises(RuntimeError), store.writing():
        add_image_set(store, [image("a")])
        raise RuntimeError
    assert list_image_sets(store) == []
    with store.writing():
        add_image_set(store, [image("a")])
    assert list_image_sets(store) == [1]


def test_a_full_disk_leaves_the_store_as_it_was(store: Store):
    with store.writing():
        add_image_set(store, [image("a")])
    (pages,) = store.read_one("PRAGMA page_count") or (0,)
    store.execute(f"PRAGMA max_page_count = {pages + 20}")
    with pytest.raises(StoreError, match=r"full.*intact.*Free some space"):
        for number in range(100):
            with store.writing():
                add_image_set(store, [image(f"b{number}", 10_000)])
    kept = list_image_sets(store)
    assert 1 <= len(kept) < 100 and store.find_damage() is None
    store.execute("PRAGMA max_page_count = 1000000")
    with store.writing():
        add_image_set(store, [image("c", 10_000)])
    assert len(list_image_sets(store)) == len(kept) + 1


def test_a_killed_writer_loses_nothing_that_it_had_committed(tmp_path: Path):
    code = (
        "import sys\n"
        "from vapo.claims.store.store import Store\n"
        "from vapo.claims.store.images import StoredImage, add_image_set\n"
        "store = Store(sys.argv[1], create=True)\n"
        "for number in range(10**9):\n"
        "    with store.writing():\n"
        "        add_image_set(store, [StoredImage(f'{number}', 1, 1, 'image/png', bytes(2000))])\n"
        "    print(number, flush=True)\n"
    )
    path = tmp_path / "claims.db"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for _ in range(300):
            child.stdout.readline()
        os.kill(child.pid, signal.SIGKILL)
        parts = [line for line in child.stdout.read().splitlines() if line.isdigit()]
    with Store(path) as store:
        assert len(list_image_sets(store)) >= (int(parts[-1]) if parts else 299) + 1
        assert store.find_damage() is None


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("CREATE TRIGGER steal AFTER INSERT ON marks BEGIN DELETE FROM claims; END", "trigger 'steal'"),
        ("CREATE VIEW claims2 AS SELECT * FROM claims", "view 'claims2'"),
        ("CREATE TABLE mine (x)", "table 'mine'"),
        ("CREATE VIRTUAL TABLE words USING fts5(text)", "table 'words"),
        ("CREATE INDEX slow ON claims (length(zeroblob(1000000000)))", "index 'slow'"),
        ("DROP TRIGGER spend", "trigger 'spend'"),
        ("DROP INDEX claims_of_subject", "index 'claims_of_subject'"),
        ("ALTER TABLE marks ADD COLUMN more TEXT", "table 'marks'"),
        ("ALTER TABLE rows RENAME TO others", "'others'|'rows'"),
        ("DROP TABLE audits; CREATE VIEW audits AS SELECT * FROM marks", "'audits'"),
    ],
)
def test_tables_that_are_not_ours_are_refused_and_nothing_is_written(tmp_path: Path, statement: str, named: str):
    path = tmp_path / "claims.db"
    Store(path, create=True).close()
    with sqlite3.connect(path) as db:
        db.executescript(f"PRAGMA journal_mode = DELETE; {statement}")
    db.close()
    before = path.read_bytes()
    for create in (False, True):
        with pytest.raises(StoreError, match=rf"({named}).* is missing or not as vapo makes it.*Ask for a store"):
            Store(path, create=create)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("UPDATE claims SET text = x'00'", "claims"),
        ("UPDATE claims SET kind = NULL", "claims"),
        ("UPDATE claims SET is_true = 2", "claims"),
        ("UPDATE claims SET request = 'one'", "claims"),
        ("UPDATE rows SET stamp = x'00'", "rows"),
        ("UPDATE marks SET mark = 'perhaps'", "marks"),
        ("UPDATE marks SET at = 'now'", "marks"),
        ("UPDATE audits SET verdict = 'perhaps'", "audits"),
        ("UPDATE requests SET state = 'gone'", "requests"),
        ("UPDATE requests SET num_true = 'many'", "requests"),
        ("UPDATE workers SET process = 7.5, beat = 'never'", "workers"),
        ("UPDATE workers SET reserved_usd = -1e9", "workers"),
        ("UPDATE spending SET usd = -1e9", "spending"),  # a budget would never be spent
        ("UPDATE marks SET claim = 99", "marks"),
        ("DELETE FROM spending", "spending"),
        ("INSERT INTO spending VALUES (0, 0, 0.0)", "spending"),
    ],
)
def test_values_of_other_types_are_refused(tmp_path: Path, statement: str, table: str):
    path = tmp_path / "claims.db"
    with Store(path, create=True) as store, store.writing():
        image_set = add_image_set(store, [image("a" * 64)])
        store.execute("INSERT INTO rows VALUES ('s', 'n', '', ?)", (image_set,))
        store.execute("INSERT INTO workers VALUES (1, 'm', '1 1', 1.0, 0, 0.0)")
        store.execute("INSERT INTO claims VALUES (1, ?, NULL, 'm', 'It is red.', 1, 'colour', NULL)", (image_set,))
        store.execute("INSERT INTO marks VALUES (1, 1, 'ann', 'right', NULL, NULL, 1.0)")
        store.execute("INSERT INTO audits VALUES (1, 1, 'm', 'label', 'yes', NULL, x'', 1, 1, 0.0, 1.0)")
        store.execute(
            "INSERT INTO requests VALUES (1, ?, 1, 'read', 'm', 's', '1', 'i', '{}', 1, 1, 1.0, NULL)", (image_set,)
        )
    Store(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute("PRAGMA writable_schema = ON")
        (sql,) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'claims'").fetchone()
        db.execute("UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '') WHERE name = 'claims'")
        db.commit()
    db.close()
    with sqlite3.connect(path) as db:  # which now lets NULL in
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute(statement)
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'claims'", (sql,))
        db.commit()
    db.close()
    with pytest.raises(StoreError, match=f"its table '{table}' holds values that vapo does not write"):
        Store(path)


def test_a_journal_that_names_another_file_deletes_nothing(tmp_path: Path):
    """SQLite deletes the file that a rollback journal names as its superior, once the journal is played back."""
    path, precious = tmp_path / "claims.db", tmp_path / "precious"
    precious.write_text("years of work")
    Store(path, create=True).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    db.close()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA cache_size = 1")
    db.execute("BEGIN IMMEDIATE")
    for _ in range(200):
        db.execute("INSERT INTO images VALUES (hex(randomblob(32)), 1, 1, 'image/png', zeroblob(3000))")
    journal = (tmp_path / "claims.db-journal").read_bytes()
    db.execute("ROLLBACK")
    db.close()
    name = os.fsencode(precious)
    (page,) = struct.unpack(">I", journal[24:28])
    end = struct.pack(">I", 2**30 // page + 1) + name + struct.pack(">II", len(name), sum(name))
    (tmp_path / "claims.db-journal").write_bytes(journal + end + journal[:8])
    for create in (False, True):
        with pytest.raises(StoreError, match="journal names another file"):
            Store(path, create=create)
    assert precious.read_text() == "years of work"
