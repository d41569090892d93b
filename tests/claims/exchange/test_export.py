"""Exports as a user gets them: forms, cards, and what is refused."""

from __future__ import annotations

import io
from pathlib import Path

import datasets
import pytest
import yaml
from PIL import Image

from vapo.claims.exchange.export import export_claims
from vapo.claims.exchange.rows import ClaimRow, export_rows, import_rows, prepare_rows
from vapo.claims.store.annotations import Annotation, add_annotation
from vapo.claims.store.audits import Audit, AuditCost, add_audit
from vapo.claims.store.claims import NewClaim, add_claims
from vapo.claims.store.images import StoredImage, list_image_sets
from vapo.claims.store.store import Store
from vapo.core.image_names import name_image
from vapo.data.claimed import ClaimedRows
from vapo.errors import ConfigError, DataError
from vapo.types import Claim


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
    datasets.disable_progress_bars()


@pytest.fixture
def filled(store: Store) -> Store:
    """Twelve rows with two claims each, one of them hostile, and what was said of them."""
    rows = []
    for number in range(12):
        image, stream = Image.new("RGB", (9, 9), (number, 0, 0)), io.BytesIO()
        image.save(stream, "PNG")
        kept = StoredImage(name_image(image), 9, 9, "image/png", stream.getvalue())
        pair = (Claim(f"It is {number}.", True), Claim("It is <b>*not*</b> `there`.", False))
        rows.append(ClaimRow("train.parquet", f"row-{number}", (kept,), pair, ("gpt|5", "gpt|5")))
    import_rows(store, rows)
    with store.writing():
        add_claims(store, list_image_sets(store)[0], "gpt|5", [NewClaim(Claim("No.", False), "other", "length")])
        add_audit(store, Audit(1, "judge", "label", True, 0.9), b"", AuditCost(1, 1, 0))
    add_annotation(store, Annotation(1, "ann", "wrong"))
    add_annotation(store, Annotation(2, "ann", "unclear"))
    return store


def test_a_folder_for_the_hub_loads_as_a_data_set(filled, tmp_path):
    exported = export_claims(filled, "hub-folder", tmp_path / "my claims", "1.2.3")
    assert str(exported) == (
        "23 claims of 12 rows, 1 as reviewers corrected them; 1 were left out as unclear or disputed"
    )
    loaded = datasets.load_dataset(str(tmp_path / "my claims"), split="train")
    assert len(loaded) == 12 and loaded[0]["images"][0].size == (9, 9)
    assert loaded[0]["claims"] == [{"text": "It is 0.", "is_true": False}]
    with Store(tmp_path / "other.db", create=True) as other:
        import_rows(other, prepare_rows(ClaimedRows(tmp_path / "my claims"), "file"))
        assert list(export_rows(other)) == list(export_rows(filled))


@pytest.mark.parametrize("form", ["jsonl", "parquet", "hub-folder"])
@pytest.mark.parametrize("name", ["../{outside}/x", "{outside}/x", "x/../../{outside}/x"])
def test_a_store_says_no_place_to_write_to(store: Store, tmp_path, form, name):
    """An image's name in the store is that of its file in an export."""
    outside, out = tmp_path / "outside", tmp_path / "exports" / "claims.jsonl"
    outside.mkdir()
    out.parent.mkdir()
    name = name.format(outside=outside if name.startswith("{") else "../outside")
    image = StoredImage(name, 9, 9, "image/png", b"#!/bin/sh")
    import_rows(store, [ClaimRow("a", "row-0", (image,), (Claim("It is red.", True),), ("me",))])
    with pytest.raises(DataError, match="names are 64 hexadecimal digits"):
        export_claims(store, form, out if form != "hub-folder" else out.parent / "hub", "1")
    assert list(outside.iterdir()) == [] and not out.exists()


def test_the_card_tells_how_claims_were_made_and_how_good_they_are(filled, tmp_path):
    export_claims(filled, "hub-folder", tmp_path / "set", "1.2.3")
    card = (tmp_path / "set" / "README.md").read_text(encoding="utf-8")
    _, front, body = card.split("---\n", 2)
    assert yaml.safe_load(front)["pretty_name"] == "set"
    assert yaml.safe_load(front)["configs"][0]["data_files"][0]["path"] == "data/train-*.parquet"
    for piece in ("23 claims about the images of 12 rows", "| gpt\\|5 | 24 |", "| length | 1 |", "vapo 1.2.3"):
        assert piece in body
    assert "| agrees with the label | 100.0% \\[20.7, 100.0\\] of 1 |" in body
    assert "reviewed | 2 claims: 0 right, 1 wrong, 1 unclear, 0 disputed |" in body
    assert "<b>" not in body  # words of claims are told as tells


@pytest.mark.parametrize("form", ["parquet", "jsonl", "hub-folder"])
def test_marks_can_be_ignored(filled, tmp_path, form):
    out = tmp_path / "set" if form == "hub-folder" else tmp_path / f"set.{form}"
    assert str(export_claims(filled, form, out, "1", repaired=False)) == "24 claims of 12 rows"
    assert [len(row.claims) for row in ClaimedRows(out)] == [2] * 12


def test_a_second_export_takes_the_place_of_the_first(filled, tmp_path):
    folder = tmp_path / "set"
    export_claims(filled, "hub-folder", folder, "1")
    (folder / "data" / "train-00007.parquet").write_bytes((folder / "data" / "train-00000.parquet").read_bytes())
    export_claims(filled, "hub-folder", folder, "1")
    assert [path.name for path in (folder / "data").iterdir()] == ["train-00000.parquet"]


def test_folders_with_other_files_are_left_alone(filled, tmp_path):
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(ConfigError, match=r"holds other files .*choose an empty folder"):
        export_claims(filled, "hub-folder", tmp_path, "1")
    assert (tmp_path / "README.md").read_text() == "mine"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"thesis\.txt"):
        export_claims(filled, "hub-folder", tmp_path / "other", "1")


def test_an_empty_store_is_not_exported(store, tmp_path):
    with pytest.raises(DataError, match="holds no rows"):
        export_claims(store, "jsonl", tmp_path / "claims.jsonl", "1")
    assert not (tmp_path / "claims.jsonl").exists()


def test_a_file_that_cannot_be_written_leaves_the_old_one(filled, tmp_path, monkeypatch):
    out = tmp_path / "claims.jsonl"
    export_claims(filled, "jsonl", out, "1")
    before = out.read_bytes()
    monkeypatch.setattr("vapo.claims.exchange.formats.json.dumps", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export_claims(filled, "jsonl", out, "1")
    assert out.read_bytes() == before
    assert not [path for path in Path(tmp_path).iterdir() if path.name.startswith(".")]
