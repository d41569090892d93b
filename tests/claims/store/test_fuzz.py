"""Stores as a stranger may have made them: whatever is in one, it is read as it is or refused in a sentence."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from vapo.claims.contents import count_contents, format_contents
from vapo.claims.exchange.export import export_claims
from vapo.claims.exchange.rows import ClaimRow, import_rows
from vapo.claims.quality.quality import format_quality, measure_quality
from vapo.claims.repair import count_repaired
from vapo.claims.review.session import ReviewSession
from vapo.claims.store.annotations import Annotation, add_annotation
from vapo.claims.store.audits import Audit, AuditCost, add_audit
from vapo.claims.store.images import StoredImage, list_image_sets
from vapo.claims.store.requests import NewRequest, Response, add_answer, list_requests, open_request, read_answer
from vapo.claims.store.store import Store
from vapo.claims.store.workers import free_dead_workers, register_worker, take_image_set
from vapo.core.image_names import name_image
from vapo.errors import VapoError
from vapo.types import Claim

FUZZ = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a store with something in every table."""
    path = tmp_path_factory.mktemp("honest") / "claims.db"
    image, stream = Image.new("RGB", (9, 9), "red"), io.BytesIO()
    image.save(stream, "PNG")
    kept = StoredImage(name_image(image), 9, 9, "image/png", stream.getvalue())
    with Store(path, create=True) as store:
        claims = (Claim("It is red.", True), Claim("It is blue.", False))
        import_rows(store, [ClaimRow("rows.jsonl", f"row-{n}", (kept,), claims, ("me", "you")) for n in range(3)])
        with store.writing():
            request = open_request(store, 1, NewRequest("Tell.", "1", 1, 1, "gpt", "http://x", {"seed": 0}))
            add_answer(store, request.id, Response(b"{}", 1.0, "stop", 3, 4, 0.5))
        add_audit(store, Audit(1, "judge", "label", True, 0.9), b"yes", AuditCost(1, 1, 0.0))
        add_annotation(store, Annotation(2, "ann", "wrong", "It is green.", True))
        worker = register_worker(store)
        with store.writing():
            take_image_set(store, worker, 1)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    db.close()
    return path


def use(path: Path) -> None:
    """Do with a store what commands do."""
    with Store(path) as store:
        format_contents(count_contents(store))
        format_quality(measure_quality(store))
        count_repaired(store)
        for image_set in list_image_sets(store):
            for request in list_requests(store, image_set):
                read_answer(store, request.id)
        with store.writing():
            free_dead_workers(store)
        for form, name in (("jsonl", "out.jsonl"), ("parquet", "out.parquet"), ("hub-folder", "hub")):
            export_claims(store, form, path.parent / "out" / name, "1")
    session = ReviewSession(path, "ann")
    for place in range(len(session.image_sets)):
        shown = session.show(place)
        for position in range(shown["images"]):
            session.read_image(place, position)
        for claim in shown["claims"]:
            session.annotate(claim["id"], "right")
    session.measure()
    session.undo()


def try_out(path: Path, content: bytes, change: Callable[[Path], None]) -> None:
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm", f"{path.name}-journal"):
        path.with_name(name).unlink(missing_ok=True)
    (path.parent / "out").mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    change(path)
    before = {file for file in path.parent.parent.rglob("*") if path.parent not in file.parents}
    with suppress(VapoError):
        use(path)
    assert {file for file in path.parent.parent.rglob("*") if path.parent not in file.parents} == before


def test_an_honest_store_is_used(honest: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "claims.db").write_bytes(honest.read_bytes())
    use(tmp_path / "claims.db")


values = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(st.characters(codec="utf-8"), max_size=30),
    st.binary(max_size=30),
    st.sampled_from(
        ["../../x", "/tmp/x", "text/html", "a\x1b[2J", "9" * 400, "right", "yes", "read", "a" * 64, 0, 1, 2]
    ),
)
CELLS = [
    (table, column)
    for table, columns in {
        "images": "name width height media_type content",
        "subjects": "key worker",
        "subject_images": "position image",
        "rows": "source name stamp subject",
        "workers": "machine process beat reserved_tokens reserved_usd",
        "requests": "subject attempt state model server prompt_version instruction options num_true num_false trouble",
        "answers": "received_at seconds body finish_reason prompt_tokens completion_tokens usd",
        "spending": "prompt_tokens completion_tokens usd",
        "claims": "subject request maker text is_true kind rejected_for",
        "row_claims": "position claim",
        "audits": "claim auditor question verdict p_true body prompt_tokens usd at",
        "marks": "claim reviewer mark text is_true at",
    }.items()
    for column in columns.split()
]


@pytest.mark.slow
@FUZZ
@given(st.lists(st.tuples(st.sampled_from(CELLS), values), min_size=1, max_size=3))
def test_any_value_in_any_cell(honest: Path, tmp_path: Path, changes: list[tuple[tuple[str, str], Any]]) -> None:
    def change(path: Path) -> None:
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("PRAGMA ignore_check_constraints = ON")
        for (table, column), value in changes:
            with suppress(sqlite3.Error):  # NULL where there may be none
                db.execute(f"UPDATE OR IGNORE {table} SET {column} = ?", (value,))
        db.close()

    try_out(tmp_path / "store" / "claims.db", honest.read_bytes(), change)


@pytest.mark.slow
@FUZZ
@given(
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6)
)
def test_any_bytes_anywhere(honest: Path, tmp_path: Path, changes: list[tuple[float, bytes]]) -> None:
    content = bytearray(honest.read_bytes())
    for share, new in changes:
        place = int(share * len(content))
        content[place : place + len(new)] = new
    try_out(tmp_path / "store" / "claims.db", bytes(content), lambda path: None)


@pytest.mark.parametrize(("table", "column"), [("rows", "stamp"), ("claims", "text"), ("marks", "reviewer")])
def test_text_that_is_none_is_refused(honest: Path, tmp_path: Path, table: str, column: str) -> None:
    path = tmp_path / "claims.db"
    path.write_bytes(honest.read_bytes())
    (tmp_path / "out").mkdir()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute(f"UPDATE {table} SET {column} = CAST(x'ff' AS TEXT) WHERE rowid = 1")
    db.close()
    with pytest.raises(VapoError, match="not UTF-8"):
        use(path)


def test_a_definition_that_is_no_text_is_refused(honest: Path, tmp_path: Path) -> None:
    """SQLite quotes it in its message, which Python then cannot read."""
    (tmp_path / "claims.db").write_bytes(honest.read_bytes().replace(b") WITHOUT ROWID", b") WITHOUT \x80OWID"))
    with pytest.raises(VapoError, match="not UTF-8"):
        Store(tmp_path / "claims.db")
