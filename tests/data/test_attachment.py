"""Claims attached to the rows that show their images."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from PIL import Image

from vapo.core.image_names import name_image
from vapo.data.attachment import attach_claims
from vapo.data.columns import Columns
from vapo.data.samples import load_samples, prepare_reader
from vapo.errors import DataError
from vapo.types import Claim

POOL = (Claim("The temple has a red roof.", True), Claim("Two boats lie on the shore.", False))


@pytest.fixture
def find_pool(photo):
    """Knows the temple, alone and beside a white image."""
    white = Image.new("RGB", (8, 8), "white")
    pools = {(name_image(photo),): POOL, (name_image(photo), name_image(white)): POOL[:1]}

    def find(names: Sequence[str]) -> Sequence[Claim]:
        return pools.get(tuple(names), ())

    return find


def attach(rows, find_pool, path, **options):
    reader, count = prepare_reader(rows, split=None, columns=Columns(), image_folder=None, whole_rows=True)
    return attach_claims(reader, count, find_pool, path, **options)


def test_rows_get_the_claims_about_their_images(make_row, photo, find_pool, tmp_path):
    white = Image.new("RGB", (8, 8), "white")
    rows = [make_row(note="a"), make_row(images=[photo, white], note="b"), make_row(claims=None, note="c")]
    done = attach(rows, find_pool, tmp_path / "train.parquet")
    assert (done.num_rows, done.num_claims, done.left_out) == (3, 5, ())
    samples = load_samples(str(tmp_path / "train.parquet"), require_claims=True)
    assert [sample.claims for sample in samples] == [POOL, POOL[:1], POOL]


def test_rows_without_claims_are_refused_or_left_out(make_row, find_pool, tmp_path):
    unknown = make_row(images=[Image.new("RGB", (9, 9), "red")])
    unreadable = make_row(images=[b"broken"])
    rows = [make_row(), unknown, unreadable, make_row(answer=None)]
    with pytest.raises(DataError, match=r"row 3: answer is null.*--on-bad-row skip"):
        attach(rows, find_pool, tmp_path / "train.parquet")
    with pytest.raises(DataError, match=r"row 1: no claims are known about its images; .*make claims"):
        attach(rows[:2], find_pool, tmp_path / "train.parquet")
    done = attach(rows, find_pool, tmp_path / "train.parquet", skip_bad_rows=True)
    assert done.num_rows == 1 and [problem.row for problem in done.left_out] == [1, 2, 3]
    with pytest.raises(DataError, match="no row gets claims"):
        attach([unknown], find_pool, tmp_path / "train.parquet", skip_bad_rows=True)


def test_claims_that_are_replaced_may_be_malformed(make_row, find_pool, tmp_path):
    attach([make_row(claims=[{"text": "No label."}])], find_pool, tmp_path / "train.parquet")
    assert load_samples(str(tmp_path / "train.parquet"))[0].claims == POOL


def test_a_missing_column_is_named(make_row, find_pool, tmp_path):
    row = make_row()
    del row["answer"]
    with pytest.raises(DataError, match="there is no column 'answer'"):
        attach([row], find_pool, tmp_path / "train.parquet")
