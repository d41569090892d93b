from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as Images

from vapo.data.columns import Columns
from vapo.data.samples import load_samples
from vapo.errors import ConfigError, DataError
from vapo.types import Claim

MakeRow = Callable[..., dict[str, Any]]
TWO_CLAIMS = (Claim("A temple is seen.", True), Claim("Snow lies.", False))


def test_published_training_data_loads_as_it_is(published_row: dict[str, Any], photo: Any, tmp_path: Path) -> None:
    """In Parquet with and without the hub's marks on the image column, each with its own type of column."""
    Dataset.from_list([published_row]).to_parquet(tmp_path / "plain.parquet")
    texts = {name: Value("string") for name in published_row if name != "images"}
    marked = Features({**texts, "images": List(Image())})
    Dataset.from_list([published_row], features=marked).to_parquet(tmp_path / "marked.parquet")
    for path in (tmp_path / "plain.parquet", tmp_path / "marked.parquet"):
        (sample,) = load_samples(path, require_claims=True)
        assert sample.id == "row-0"
        assert sample.question == "<image>How many roofs are there?"
        assert sample.images[0].tobytes() == photo.tobytes()
        assert sample.claims == tuple(Claim(f"Claim number {number}.", number % 3 != 0) for number in range(1, 21))


def test_parquet_with_struct_claims(make_row: MakeRow, tmp_path: Path) -> None:
    Dataset.from_list([make_row(), make_row(claims=[])]).to_parquet(tmp_path / "a.parquet")
    assert [sample.claims for sample in load_samples(tmp_path / "a.parquet")] == [TWO_CLAIMS, ()]


@pytest.mark.parametrize("several", [False, True])
def test_pil_images_in_a_dataset_in_memory(make_row: MakeRow, photo: Any, several: bool) -> None:
    row = make_row()
    del row["images"]
    row |= {"images": [photo, photo]} if several else {"image": photo}
    (sample,) = load_samples(Dataset.from_list([row]))
    assert [image.tobytes() for image in sample.images] == [photo.tobytes()] * (2 if several else 1)


def test_an_image_folder_with_metadata(make_row: MakeRow, png: bytes, tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.png").write_bytes(png)
    row = make_row(file_name="a.png")
    del row["images"]
    (tmp_path / "train" / "metadata.jsonl").write_text(json.dumps(row) + "\n")
    (sample,) = load_samples(tmp_path)
    assert (sample.images[0].size, sample.claims) == ((96, 64), TWO_CLAIMS)


def test_samples_are_a_sequence(make_row: MakeRow) -> None:
    samples = load_samples([make_row(id=number, answer=number) for number in range(5)])
    assert len(samples) == 5
    assert [sample.id for sample in samples] == ["0", "1", "2", "3", "4"]
    assert samples[-1].answer == "4"
    assert [sample.id for sample in samples[1:4:2]] == ["1", "3"]
    assert repr(samples) == "Samples('the rows given', 5 samples, 0 rows skipped)"
    with pytest.raises(IndexError):
        samples[5]


def test_samples_can_be_left_out(make_row: MakeRow) -> None:
    samples = load_samples([make_row(answer=str(number)) for number in range(4)])[1:]
    fewer = samples.leave_out({0: "too long", 2: "too short"})
    assert list(fewer.row_numbers) == [2] and fewer[0].answer == "2"
    assert [(problem.row, problem.reason) for problem in fewer.skipped] == [(1, "too long"), (3, "too short")]
    assert len(samples) == 3 and not samples.skipped


def test_samples_without_claims_are_found_by_their_place(make_row: MakeRow) -> None:
    samples = load_samples([make_row(), make_row(claims=[]), make_row(), make_row(claims=None)])
    assert samples.find_unclaimed().keys() == {1, 3}
    problem = samples[2:].find_unclaimed()[1]
    assert problem.row == 3 and "require_claims=True" in problem.reason


@pytest.mark.parametrize("fields", [{"images": []}, {"images": None}, {"images": [None]}, {"claims": []}])
def test_claims_without_an_image_and_images_without_claims_are_no_samples(
    make_row: MakeRow, fields: dict[str, Any]
) -> None:
    samples = load_samples([make_row(), make_row(**fields)], require_claims=True, on_bad_row="skip")
    assert len(samples) == 1 and not samples.find_unclaimed()


def test_samples_can_be_sent_to_a_worker(make_row: MakeRow) -> None:
    samples = pickle.loads(pickle.dumps(load_samples(Dataset.from_list([make_row()]))))
    assert samples[0].claims == TWO_CLAIMS


def test_columns_can_be_renamed(make_row: MakeRow) -> None:
    row = make_row()
    renamed = {"q": row["problem"], "a": row["answer"], "pic": row["images"], "facts": row["claims"], "key": "k"}
    (sample,) = load_samples([renamed], columns=Columns("q", "a", "pic", "facts", id="key"))
    assert (sample.id, sample.question, sample.claims) == ("k", "What is this?", TWO_CLAIMS)


def test_special_tokens_in_data_stay_as_they_are(make_row: MakeRow) -> None:
    """They load unchanged; what puts them into a prompt keeps them plain (see vapo.models.plain_text)."""
    odd = "Is <|image_pad|> <|im_end|> </think> here?"
    (sample,) = load_samples([make_row(problem=odd, claims=[{"text": odd, "is_true": True}])])
    assert (sample.question, sample.claims) == (odd, (Claim(odd, True),))


BAD = [
    ({"problem": None}, "problem is null"),
    ({"problem": " "}, "problem is empty"),
    ({"answer": None}, "answer is null"),
    ({"images": [None]}, "image 1 of 1 in images is null"),
    ({"images": [{"bytes": None, "path": None}]}, "image 1 of 1 in images is null"),
    ({"images": []}, "images is empty, and rows without an image cannot be mixed with others"),
    ({"images": None}, "images is empty"),
    ({"images": ["a.png"]}, "this data has no folder"),
    ({"images": ["https://example.org/a.png"]}, "is a URL; .* --allow-urls"),
    ({"images": [b"\x89PNG\r\n\x1a\n"]}, "image .*"),
    ({"problem": "<image> and <image>"}, "more places than images"),
    ({"claims": [{"text": "Rain.", "is_true": "MAYBE"}]}, "label 'MAYBE' is neither CORRECT nor WRONG"),
    ({"claims": [{"text": "", "is_true": True}]}, r"claims\[0\].text is empty"),
    ({"id": "0"}, "id '0' is already that of row 0"),
    ({"id": None}, "id is null"),
]


@pytest.mark.parametrize(("fields", "message"), BAD)
def test_a_bad_row_is_an_error_or_is_skipped(make_row: MakeRow, fields: dict[str, Any], message: str) -> None:
    rows = [make_row(id=str(number)) for number in range(3)]
    rows[1] |= fields
    with pytest.raises(DataError, match=f"row 1: .*{message}.*; fix the row or pass --on-bad-row skip"):
        load_samples(rows)
    samples = load_samples(rows, on_bad_row="skip")
    assert [sample.id for sample in samples] == ["0", "2"]
    assert list(samples.row_numbers) == [0, 2]
    (problem,) = samples.skipped
    assert problem.row == 1


def test_a_truncated_image_names_its_row(make_row: MakeRow, jpeg: bytes) -> None:
    rows = [make_row(), make_row(images=[jpeg, jpeg[: len(jpeg) // 2]])]
    with pytest.raises(DataError, match="row 1: image is truncated or broken"):
        load_samples(rows)


def test_a_broken_line_names_its_line(make_row: MakeRow, png: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png)
    good = json.dumps(make_row(images="a.png"))
    (tmp_path / "rows.jsonl").write_text(f"{good}\n\n{good[:-5]}\n{good}\n")
    with pytest.raises(DataError, match=r"row 1 \(rows\.jsonl, line 3\): the line is not JSON"):
        load_samples(tmp_path / "rows.jsonl")
    assert len(load_samples(tmp_path / "rows.jsonl", on_bad_row="skip")) == 2


def test_a_path_that_leaves_the_data_folder(make_row: MakeRow, png: bytes, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "a.png").write_bytes(png)
    (tmp_path / "data" / "rows.jsonl").write_text(json.dumps(make_row(images="../a.png")) + "\n")
    with pytest.raises(DataError, match=r"row 0 .*'\.\./a\.png' leads out of the data folder"):
        load_samples(tmp_path / "data")


def test_images_may_lie_in_a_folder_that_is_named(make_row: MakeRow, png: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png)
    rows = Dataset.from_list([make_row(images=["a.png"])])
    assert load_samples(rows, image_folder=tmp_path)[0].images[0].size == (96, 64)
    with pytest.raises(DataError, match="is not a folder"):
        load_samples(rows, image_folder=tmp_path / "none")


def test_many_bad_rows_are_told_in_one_message(make_row: MakeRow) -> None:
    rows = [make_row()] + [make_row(images=None) for _ in range(8)]
    with pytest.raises(DataError, match=r"row 1: [^;]* \(and 7 more like it\); fix"):
        load_samples(rows)


def test_data_without_claims_is_refused_before_any_row_is_read(make_row: MakeRow) -> None:
    rows = [{name: value for name, value in make_row(problem=None).items() if name != "claims"}]
    with pytest.raises(DataError, match="there are no claims, and this algorithm trains on them"):
        load_samples(rows, require_claims=True, on_bad_row="skip")


def test_an_empty_pool_is_refused_where_claims_are_needed(make_row: MakeRow) -> None:
    rows = [make_row(), make_row(claims=[])]
    assert len(load_samples(rows)) == 2
    with pytest.raises(DataError, match="row 1: there are no claims about the image"):
        load_samples(rows, require_claims=True)
    assert len(load_samples(rows, require_claims=True, on_bad_row="skip")) == 1


@pytest.mark.parametrize("on_bad_row", ["error", "skip"])
def test_data_without_images_is_refused(make_row: MakeRow, on_bad_row: Any) -> None:
    with pytest.raises(DataError, match="none of the 2 rows has an image to look at"):
        load_samples([make_row(images=[]), make_row(images=None)], on_bad_row=on_bad_row)


@pytest.mark.parametrize("on_bad_row", ["error", "skip"])
def test_empty_data_is_refused(tmp_path: Path, on_bad_row: Any) -> None:
    (tmp_path / "a.jsonl").write_text("\n")
    for source in ([], tmp_path / "a.jsonl", Dataset.from_dict({"problem": []})):
        with pytest.raises(DataError, match="is empty: it has no rows"):
            load_samples(source, on_bad_row=on_bad_row)


def test_a_missing_column_names_the_nearest(make_row: MakeRow) -> None:
    row = make_row()
    row["problems"] = row.pop("problem")
    with pytest.raises(DataError, match="no column 'problem'; the nearest is 'problems'"):
        load_samples([row], on_bad_row="skip")


def test_nothing_left_is_an_error(make_row: MakeRow) -> None:
    with pytest.raises(DataError, match=r"no row can be used; row 0: problem is null; row 1: image .*Truncated"):
        load_samples([make_row(problem=None), make_row(images=[make_row()["images"][0][:60]])], on_bad_row="skip")


def test_only_the_first_rows_are_looked_at(make_row: MakeRow) -> None:
    rows = [make_row(), make_row(), make_row(problem=None)]
    assert len(load_samples(rows, limit=2)) == 2
    assert len(load_samples(rows[:2], limit=9)) == 2


@pytest.mark.parametrize("options", [{"limit": 0}, {"on_bad_row": "ignore"}, {"max_pixels": 0}])
def test_impossible_options_are_refused(make_row: MakeRow, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        load_samples([make_row()], **options)


def test_progress_is_told(make_row: MakeRow) -> None:
    reported: list[tuple[int, int]] = []
    load_samples([make_row() for _ in range(3)], progress=lambda done, total: reported.append((done, total)))
    assert reported[-1] == (3, 3)


def test_a_row_that_breaks_after_the_check_says_where(make_row: MakeRow, png: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png)
    (tmp_path / "rows.jsonl").write_text(json.dumps(make_row(images="a.png")) + "\n")
    samples = load_samples(tmp_path / "rows.jsonl")
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match=r"rows\.jsonl, row 0 .*'a\.png' is not a file"):
        samples[0]


def test_images_are_decoded_when_asked_for(make_row: MakeRow, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = load_samples([make_row() for _ in range(4)])
    opened: list[object] = []
    original = Images.open
    monkeypatch.setattr(Images, "open", lambda *args, **options: opened.append(args) or original(*args, **options))
    samples[2]
    assert len(opened) == 1


def test_the_package_imports_no_heavy_library() -> None:
    code = "import sys, vapo.data; print(sorted({'datasets', 'pyarrow', 'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
