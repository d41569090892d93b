"""Whatever goes out of a store and into another one is the same there; whatever comes in goes out again."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from vapo.claims.exchange.formats import split_shards, write_json_lines, write_parquet
from vapo.claims.exchange.rows import ClaimRow, Imported, export_rows, import_rows, prepare_rows
from vapo.claims.store.annotations import Annotation, add_annotation
from vapo.claims.store.claims import NewClaim, add_claims
from vapo.claims.store.images import StoredImage, list_image_sets
from vapo.claims.store.store import Store
from vapo.core.image_names import name_image
from vapo.data.claimed import ClaimedRows
from vapo.data.samples import load_samples
from vapo.types import Claim

WRITERS: dict[str, Callable[[Path, Any], tuple[int, int]]] = {"jsonl": write_json_lines, "parquet": write_parquet}


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        datasets.disable_progress_bars()
        yield


def draw(shade: int, larger: int = 1) -> StoredImage:
    """An image as it is kept: its name is of pixels `larger` times as many as were sent."""
    image = Image.new("RGB", (8, 6), (shade, 0, 255 - shade))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return StoredImage(name_image(image.resize((8 * larger, 6))), 8, 6, "image/png", stream.getvalue())


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).map(str.strip).filter(bool)
CLAIM = st.builds(Claim, TEXT, st.booleans())
IMAGE = st.builds(draw, st.integers(0, 3), st.integers(1, 2))


@st.composite
def claim_rows(draw_: Any) -> list[ClaimRow]:
    """Rows of two data sets, several with the same images, claims that repeat or contradict, or none."""
    rows = []
    for number in range(draw_(st.integers(1, 5))):
        claims = tuple(draw_(st.lists(CLAIM, max_size=4)))
        makers = tuple(draw_(st.sampled_from(["gpt-5", "me"])) for _ in claims)
        images = tuple(draw_(st.lists(IMAGE, min_size=1, max_size=2)))
        rows.append(ClaimRow(draw_(st.sampled_from(["a", "b"])), f"row-{number}", images, claims, makers))
    return rows


def fill(path: Path, rows: list[ClaimRow]) -> list[ClaimRow]:
    with Store(path, create=True) as store:
        import_rows(store, rows)
        return list(export_rows(store))


def pass_on(rows: list[ClaimRow], kind: str, folder: Path) -> list[ClaimRow]:
    """Put rows into a store, out of it into a file, and into another store."""
    with Store(folder / "one.db", create=True) as store:
        import_rows(store, rows)
        WRITERS[kind](folder / f"claims.{kind}", export_rows(store))
    return fill(folder / "two.db", list(prepare_rows(ClaimedRows(folder / f"claims.{kind}"), "file")))


@pytest.mark.parametrize("kind", WRITERS)
@given(rows=claim_rows())
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_nothing_is_lost_between_stores(kind, rows):
    with tempfile.TemporaryDirectory() as folder:
        assert pass_on(rows, kind, Path(folder)) == rows


@given(claim_rows())
@settings(max_examples=30, deadline=None)
def test_importing_twice_changes_nothing(rows):
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "claims.db", create=True) as store:
        first = import_rows(store, rows)
        again = import_rows(store, rows)
        assert (again.num_rows, again.num_claims, again.num_new) == (len(rows), first.num_claims, 0)
        assert list(export_rows(store)) == rows


def test_the_published_columns_come_out_as_claims(tmp_path):
    stream = io.BytesIO()
    Image.new("RGB", (9, 9), "red").save(stream, "PNG")
    row: dict[str, Any] = {
        "problem": "<image>Why?",
        "answer": "3",
        "images": [{"bytes": stream.getvalue(), "path": None}],
    }
    for number in range(1, 21):
        row[f"claim_{number}"], row[f"label_{number}"] = f"Claim {number}.", "CORRECT" if number % 3 else "WRONG"
    other = {**row, "claim_1": "Another claim.", "label_20": "WRONG"}  # about the same image
    datasets.Dataset.from_list([row, other]).to_parquet(tmp_path / "train.parquet")
    with Store(tmp_path / "claims.db", create=True) as store:
        imported = import_rows(store, prepare_rows(ClaimedRows(tmp_path / "train.parquet"), "train.parquet"))
        assert imported == Imported(num_rows=2, num_claims=40, num_new=22)
        assert len(list_image_sets(store)) == 1
        assert write_json_lines(tmp_path / "claims.jsonl", export_rows(store)) == (2, 40)
    lines = [json.loads(line) for line in (tmp_path / "claims.jsonl").read_text().splitlines()]
    for line, source in zip(lines, (row, other), strict=True):
        assert line["claims"] == [
            {"text": source[f"claim_{number}"], "is_true": source[f"label_{number}"] == "CORRECT"}
            for number in range(1, 21)
        ]


def test_tables_with_one_claim_a_line(tmp_path):
    Image.new("RGB", (9, 9), "red").save(tmp_path / "red.png")
    (tmp_path / "claims.csv").write_text(
        'image,claim,label\nred.png,It is red.,TRUE\nred.png,"It is blue, too.",FALSE\n'
    )
    (row,) = fill(tmp_path / "claims.db", list(prepare_rows(ClaimedRows(tmp_path / "claims.csv"), "claims.csv")))
    assert row.claims == (Claim("It is red.", True), Claim("It is blue, too.", False))
    assert row.makers == ("claims.csv", "claims.csv")


def test_an_export_is_a_data_set_of_images_and_claims(tmp_path):
    rows = [ClaimRow("a", "row-0", (draw(1),), (Claim("It is dark.", True),), ("me",))]
    fill(tmp_path / "claims.db", rows)
    for kind, write in WRITERS.items():
        write(tmp_path / f"claims.{kind}", iter(rows))
        (line,) = ClaimedRows(tmp_path / f"claims.{kind}")
        assert line.images[0].size == (8, 6) and line.claims == rows[0].claims
    asked = [{**json.loads((tmp_path / "claims.jsonl").read_text()), "problem": "Is it?", "answer": "yes"}]
    (tmp_path / "asked.jsonl").write_text(json.dumps(asked[0]))
    assert load_samples(str(tmp_path / "asked.jsonl"), require_claims=True)[0].claims == rows[0].claims


def test_marks_fix_what_goes_out_and_not_what_is_kept(tmp_path):
    rows = [
        ClaimRow("a", "row-0", (draw(1),), (Claim("It is dark.", True), Claim("It is light.", False)), ("me", "me"))
    ]
    with Store(tmp_path / "claims.db", create=True) as store:
        import_rows(store, rows)
        add_annotation(store, Annotation(1, "ann", "wrong"))
        add_annotation(store, Annotation(2, "ann", "unclear"))
        (repaired,) = export_rows(store)
        assert repaired.claims == (Claim("It is dark.", False),) and repaired.makers == ("me",)
        assert list(export_rows(store, repaired=False)) == rows


def test_claims_made_later_are_every_rows(tmp_path):
    """A row has the claims it was imported with, and those that were made about its images since."""
    one, two = (ClaimRow("a", name, (draw(1),), (Claim(f"It is {name}.", True),), ("me",)) for name in ("one", "two"))
    with Store(tmp_path / "claims.db", create=True) as store:
        import_rows(store, [one, two, ClaimRow("a", "none", (draw(1),), (), ())])
        with store.writing():
            add_claims(store, list_image_sets(store)[0], "gpt-5", [NewClaim(Claim("It is made.", True), "other")])
        assert [[claim.text for claim in row.claims] for row in export_rows(store)] == [
            ["It is one.", "It is made."],
            ["It is two.", "It is made."],
            ["It is made."],
        ]


def test_shards_are_cut_by_the_size_of_their_images():
    rows = [ClaimRow("a", f"row-{n}", (StoredImage(str(n), 1, 1, "image/png", b"x" * 40),), (), ()) for n in range(5)]
    assert [len(shard) for shard in split_shards(rows, 100)] == [3, 2]
    assert [len(shard) for shard in split_shards(rows, 1)] == [1] * 5


def test_names_are_unique_and_paths_stay_at_home(tmp_path):
    sources = ("/home/ann/data/train.parquet", "owner/name", "./folder, heldout")
    rows = [ClaimRow(source, "row-0", (draw(1),), (), ()) for source in sources]
    parts = fill(tmp_path / "claims.db", rows)
    assert [(row.source, row.name) for row in parts] == [
        ("train.parquet", "row-0"),
        ("owner/name", "row-0 (2)"),
        ("folder, heldout", "row-0 (3)"),
    ]
    assert fill(tmp_path / "again.db", parts) == parts
