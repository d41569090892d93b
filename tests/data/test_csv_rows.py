"""CSV files as spreadsheets and people write them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vapo.data.samples import load_samples
from vapo.data.sources import open_rows
from vapo.errors import DataError

CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)


@given(st.lists(st.tuples(CELL, CELL), max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_is_written_is_read(tmp_path: Path, cells: list[tuple[str, str]]):
    with (tmp_path / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("a", "b"), *cells])
    rows = open_rows(tmp_path / "rows.csv")
    assert rows.columns == ("a", "b")
    assert [rows.read(index) for index in range(len(rows))] == [{"a": a or None, "b": b or None} for a, b in cells]


def test_a_data_set_with_numbered_claims(photo, tmp_path: Path):
    photo.save(tmp_path / "temple.png")
    (tmp_path / "rows.csv").write_text(
        "\ufeffproblem,answer,image,claim_1,label_1,claim_2,label_2\n"
        '"What, then, is it?",3,temple.png,"A temple, red.",TRUE,It snows.,wrong\n\n'
        "And this?,4,temple.png,A roof.,CORRECT,,\n",
        encoding="utf-8",
    )
    first, second = load_samples(str(tmp_path / "rows.csv"), require_claims=True)
    assert (first.question, first.answer) == ("What, then, is it?", "3")
    assert [(claim.text, claim.is_true) for claim in first.claims] == [("A temple, red.", True), ("It snows.", False)]
    assert len(second.claims) == 1


def test_one_claim_a_line(photo, tmp_path: Path):
    """Lines of one image are one row, wherever they stand; a line without claim adds none."""
    for name in "ab":
        photo.save(tmp_path / f"{name}.png")
    (tmp_path / "claims.csv").write_text(
        "problem,answer,image,claim,label\n"
        "What?,3,a.png,A roof.,TRUE\nWhat?,3,b.png,Snow.,false\nWhat?,3,a.png,A boat.,WRONG\nWhat?,4,b.png,,\n"
    )
    samples = load_samples(str(tmp_path / "claims.csv"))
    assert [[(claim.text, claim.is_true) for claim in sample.claims] for sample in samples] == [
        [("A roof.", True), ("A boat.", False)],
        [("Snow.", False)],
        [],
    ]
    (tmp_path / "claims.csv").write_text("problem,answer,image,claim,label\nWhat?,3,a.png,A roof.,\n")
    with pytest.raises(DataError, match=r"row 0 \(claims.csv, line 2\): claims\[0\] has no 'is_true'"):
        load_samples(str(tmp_path / "claims.csv"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no line of column names"),
        (b"a;b\n1;2\n", "not separated by commas"),
        (b"a\tb\n1\t2\n", "not separated by commas"),
        (b"a,a\n1,2\n", "the column 'a' more than once"),
        (b"a,b\n1,2\n1,2,3\n", r"line 3: there are 3 cells but 2 columns; put cells that hold commas into quotation"),
        (b"a,b\n1,\xff\n", "save it anew as CSV UTF-8"),
        (b'a,b\n1,"2"3\n', "is no CSV file"),
    ],
)
def test_what_is_wrong_is_said(content: bytes, message: str, tmp_path: Path):
    (tmp_path / "rows.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_rows(tmp_path / "rows.csv")


def test_tabs_separate_a_tsv_file(tmp_path: Path):
    (tmp_path / "rows.tsv").write_text('a\tb\n"1, 2"\t3\n')
    rows = open_rows(tmp_path / "rows.tsv")
    assert rows.columns == ("a", "b") and rows.read(0) == {"a": "1, 2", "b": "3"}
    (tmp_path / "rows.tsv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"tabs in \.tsv"):
        open_rows(tmp_path / "rows.tsv")


def test_rows_are_located_by_line(tmp_path: Path):
    (tmp_path / "rows.csv").write_text('a\n"two\nlines"\nx\n')
    rows = open_rows(tmp_path / "rows.csv")
    assert [rows.locate(index) for index in range(2)] == ["row 0 (rows.csv, line 3)", "row 1 (rows.csv, line 4)"]
