"""Rows with claims, whether or not they ask anything; what is wrong with one is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vapo.data.claimed import ClaimedRows
from vapo.errors import DataError
from vapo.types import Claim

NAME = "0" * 64


@pytest.fixture
def write(photo, tmp_path):
    """Write rows with an image and a claim, each with other fields; return the file."""
    photo.save(tmp_path / "photo.png")

    def write_rows(*rows: dict[str, Any]) -> Path:
        base = {"images": ["photo.png"], "claims": [{"text": "A roof.", "is_true": True}]}
        lines = [json.dumps({**base, **row}) for row in rows]
        (tmp_path / "claims.jsonl").write_text("\n".join(lines))
        return tmp_path / "claims.jsonl"

    return write_rows


def test_a_row_needs_no_question(write, photo):
    (row,) = ClaimedRows(write({}))
    assert row.claims == (Claim("A roof.", True),)
    assert row.name == "row-0" and row.makers == () and row.image_names == ()
    assert row.images[0].size == photo.size and row.contents[0].startswith(b"\x89PNG")


def test_a_row_may_have_no_claims_yet(write):
    assert [len(row.claims) for row in ClaimedRows(write({"claims": []}, {}))] == [0, 1]


def test_what_came_out_of_a_store_is_known_again(write):
    row = {"id": "a", "source": "photos", "image_names": [NAME], "makers": ["gpt-5"]}
    (read,) = ClaimedRows(write(row))
    assert (read.source, read.name, read.image_names, read.makers) == ("photos", "a", (NAME,), ("gpt-5",))
    (read,) = ClaimedRows(write({**row, "image_names": None}))
    assert read.source.endswith("claims.jsonl")  # a column `source` of somebody else's means something else


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"claims": [{"text": "A roof.", "is_true": "MAYBE"}]}, "label 'MAYBE' is neither CORRECT nor WRONG"),
        ({"claims": [{"text": "A roof.", "is_true": 1}]}, "label 1 is neither CORRECT nor WRONG"),
        ({"claims": [{"text": "A roof."}]}, r"claims\[0\] has no 'is_true'"),
        ({"images": []}, "images is empty, and claims are about images"),
        ({"images": ["gone.png"]}, "'gone.png' is not a file"),
        ({"images": ["../../etc/passwd"]}, "leads out of the data folder"),
        ({"makers": ["a", "b"]}, "makers has 2 entries where there should be 1"),
        ({"image_names": [NAME, NAME]}, "image_names has 2 entries where there should be 1"),
        ({"image_names": ["../../passwd"]}, "'../../passwd', which names no pixels"),
        ({"image_names": [NAME.upper() + "\n"]}, "which names no pixels"),
    ],
)
def test_what_is_wrong_with_a_row_is_said_and_can_be_passed_over(write, row, message):
    file = write({}, row)
    with pytest.raises(DataError, match=rf"claims\.jsonl, row 1 \(claims\.jsonl, line 2\): .*{message}.*--on-bad-row"):
        list(ClaimedRows(file))
    rows = ClaimedRows(file, skip_bad_rows=True)
    assert [read.name for read in rows] == ["row-0"]
    assert [problem.row for problem in rows.problems] == [1]
    with pytest.raises(DataError, match="no row can be used"):
        list(ClaimedRows(write(row), skip_bad_rows=True))


def test_ids_are_unique(write):
    with pytest.raises(DataError, match=r"row 2.*id 'a' is already that of row 0"):
        list(ClaimedRows(write({"id": "a"}, {"id": "b"}, {"id": "a"})))


def test_missing_columns_are_named(tmp_path, photo):
    photo.save(tmp_path / "photo.png")
    (tmp_path / "bare.csv").write_text("image,caption\nphoto.png,A temple.\n")
    with pytest.raises(DataError, match=r"has no claims: .* its columns are 'image', 'caption'.*--claims-column"):
        ClaimedRows(tmp_path / "bare.csv")
    (tmp_path / "odd.csv").write_text("image,claim_1,label_2\nphoto.png,A temple.,TRUE\n")
    with pytest.raises(DataError, match="'claim_1' has no partner 'label_1'"):
        ClaimedRows(tmp_path / "odd.csv")
    (tmp_path / "blind.csv").write_text("claim,label\nA temple.,TRUE\n")
    with pytest.raises(DataError, match="there is no image to look at"):
        ClaimedRows(tmp_path / "blind.csv")
    (tmp_path / "empty.csv").write_text("image,claim_1,label_1\n")
    with pytest.raises(DataError, match="is empty: it has no rows"):
        ClaimedRows(tmp_path / "empty.csv")


def test_other_files_are_refused(tmp_path, photo):
    photo.save(tmp_path / "photo.png")
    with pytest.raises(DataError, match=r"photo\.png has the unknown extension"):
        ClaimedRows(tmp_path / "photo.png")
    with pytest.raises(DataError, match="there is no file or folder"):
        ClaimedRows(tmp_path / "gone.csv")
