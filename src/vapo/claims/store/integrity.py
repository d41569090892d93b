"""Whether a store holds what vapo writes into one, and nothing else.

A store may come from a stranger. A trigger or a view of its own would run as part of our statements, a number where
text belongs would be read as something else, and a journal may name a file that SQLite then deletes.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any

from vapo.claims.store.schema import TABLES

Read = Callable[[str], list[tuple[Any, ...]]]
"""Returns all rows of a query."""

_KINDS = "trigger, view, table, index"  # by what they could do
_LIST = "SELECT type, name, tbl_name, sql FROM sqlite_master"
_JOURNAL_END = bytes.fromhex("d9d505f920a163d7")  # of a rollback journal that names another file
_TYPES = {"INTEGER": "integer", "REAL": "real", "TEXT": "text", "BLOB": "blob"}
_CHECKED_WHEN_READ = ("images", "answers")  # a row of theirs is large
_VALUES = {
    "requests": "state IN ('asked', 'answered', 'read', 'failed')",
    "spending": "prompt_tokens >= 0 AND completion_tokens >= 0 AND usd >= 0",
    "workers": "reserved_tokens >= 0 AND reserved_usd >= 0",
    "claims": "is_true IN (0, 1)",
    "audits": "verdict IN ('yes', 'no', 'unreadable')",
    "marks": "mark IN ('right', 'wrong', 'unclear') AND (is_true IS NULL OR is_true IN (0, 1))",
}


def find_foreign_table(read: Read) -> str | None:
    """Return the first table, index, view or trigger that is missing, changed or none of ours; None if all is well."""
    foreign = _list_definitions(read(_LIST)) ^ _find_definitions()
    by_weight = sorted(foreign, key=lambda one: (_KINDS.find(one[0]), one[1]))
    return f"{by_weight[0][0]} {by_weight[0][1]!r}" if foreign else None


def find_foreign_value(read: Read) -> str | None:
    """Return the first table with values, or references, that vapo does not write; None if there is none.

    Images and answers are not looked at: they are checked one by one as they are read.
    """
    for table, condition in _find_conditions().items():
        if read(f"SELECT 1 FROM {table} WHERE NOT ({condition}) LIMIT 1"):
            return table
    for (table,) in read('SELECT "table" FROM pragma_foreign_key_check LIMIT 1'):
        return str(table)  # it refers to what is not there
    return None if len(read("SELECT 1 FROM spending LIMIT 2")) == 1 else "spending"


def names_another_file(journal: Path) -> bool:
    """Return whether a rollback journal names another file, which SQLite deletes after it has played the journal."""
    try:
        with journal.open("rb") as file:
            file.seek(-len(_JOURNAL_END), os.SEEK_END)
            return file.read() == _JOURNAL_END
    except OSError:  # there is none, or it is shorter than that
        return False


def _list_definitions(rows: list[tuple[Any, ...]]) -> frozenset[tuple[str, str, str, str]]:
    """Return kind, name, table and definition of each, without comments and line breaks."""
    return frozenset(
        (str(kind), str(name), str(table), " ".join(re.sub(r"--[^\n]*", "", str(sql)).split()))
        for kind, name, table, sql in rows
    )


@lru_cache
def _find_definitions() -> frozenset[tuple[str, str, str, str]]:
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(TABLES)
        return _list_definitions(db.execute(_LIST).fetchall())


@lru_cache
def _find_conditions() -> Mapping[str, str]:
    """Return what holds of every row that vapo writes, by table."""
    conditions: dict[str, str] = {}
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(TABLES)
        for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            if table in _CHECKED_WHEN_READ:
                continue
            parts = [_VALUES.get(table, "TRUE")]
            for _, column, declared, needed, _, key in db.execute(f"PRAGMA table_info({table})"):
                kinds = [_TYPES[declared], *([] if needed or key else ["null"])]
                parts.append(f"typeof({column}) IN ({', '.join(map(repr, kinds))})")
            conditions[table] = " AND ".join(parts)
    return conditions
