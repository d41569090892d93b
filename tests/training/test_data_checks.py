"""Rows that cannot be trained on are found before the first step, and no image is opened for it."""

from __future__ import annotations

from typing import Any

import PIL.Image
import PIL.ImageFile
import pytest
from datasets import Dataset, Features, Image, List, Value
from training.training_world import CLAIMS, make_images, make_rows

from vapo import load_samples, make_training_rows
from vapo.data.refused_sizes import SizeCheck
from vapo.errors import DataError
from vapo.training.data_checks import check_data, check_sizes
from vapo.training.rows import SampleReader
from vapo.types import Claim, Sample

CLAIMED = SampleReader(require_claims=True)
GRADED = SampleReader(require_claims=False, require_answers=True)
FREE = SampleReader(require_claims=False)
PROMPT = [{"role": "user", "content": "What is it?"}]
(IMAGE,) = make_images(1)
FEATURES: dict[str, Any] = {
    "prompt": [{"role": Value("string"), "content": Value("string")}],
    "answer": Value("string"),
    "claims": List({"text": Value("string"), "is_true": Value("bool")}),
    "images": List(Image()),
}


def make_data(*changes: dict[str, Any], **features: Any) -> Dataset:
    """Make rows that are good but for some fields of each, one of them good."""
    good = {"prompt": PROMPT, "answer": "1", "claims": CLAIMS, "images": [IMAGE]}
    named = {**FEATURES, **features}
    if "image" in named:
        good["image"] = IMAGE
        del named["images"]
    rows = [{name: {**good, **change}[name] for name in named} for change in ({}, *changes)]
    return Dataset.from_list(rows, features=Features(named))


@pytest.fixture(autouse=True)
def no_image_is_opened(monkeypatch):
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("an image was opened")

    monkeypatch.setattr(PIL.Image, "open", refuse)


NO_CLAIMS, NO_IMAGE = "the row has no claims", "the row has claims but no image to check them against"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"claims": []}, NO_CLAIMS),
        ({"claims": None}, NO_CLAIMS),
        ({"claims": [{"text": " ", "is_true": True}]}, r"claims\[0\].text is empty"),
        ({"claims": [{"text": "A cat.", "is_true": None}]}, r"claims\[0\] has no 'is_true'"),
        ({"claims": [{"text": None, "is_true": True}]}, r"claims\[0\] has no 'text'"),
        ({"images": []}, NO_IMAGE),
        ({"images": None}, NO_IMAGE),
        ({"images": [None]}, "image 1 of 1 in images is null"),
        ({"images": [IMAGE, None]}, "image 2 of 2 in images is null"),
        ({"images": [{"bytes": b"", "path": None}]}, "image 1 of 1 in images is null"),
    ],
)
def test_a_row_without_usable_claims_or_images(change, reason):
    with pytest.raises(DataError, match=f"train_dataset, row 1: {reason}; fix the rows or leave them out"):
        check_data(CLAIMED, make_data(change))
    with pytest.raises(DataError, match=rf"eval_dataset\['hard'\], row 1: {reason}"):
        check_data(CLAIMED, make_data(), {"easy": make_data(), "hard": make_data(change)})
    check_data(FREE, make_data(change).select([1]))


@pytest.mark.parametrize("images", [[], None, [None], [{"bytes": b"", "path": None}]])
def test_rows_with_and_without_images(images):
    with pytest.raises(DataError, match=r"train_dataset, row 1 has no image, and row 0 has one: .* train on one kind"):
        check_data(FREE, make_data({"images": images}))
    with pytest.raises(DataError, match=r"eval_dataset\['hard'\], row 0 has no image, and row 2 has one"):
        check_data(FREE, make_data(), {"hard": make_data({"images": images}, {}).select([1, 1, 2])})
    check_data(FREE, make_data({"images": images}).select([1]))
    check_data(FREE, make_data({}))


def test_columns_of_one_image_some_empty():
    data = make_data({"image": None}, image=Image())
    with pytest.raises(DataError, match="row 1 has no image, and row 0 has one"):
        check_data(FREE, data)


def test_samples_with_and_without_images():
    samples = [Sample(name, (IMAGE,) * count, "q", "1") for name, count in (("a", 0), ("b", 2))]
    with pytest.raises(DataError, match="row 0 has no image, and row 1 has one"):
        check_data(FREE, make_training_rows(samples))
    check_data(FREE, make_training_rows(samples[:1]))


def test_rows_without_claims_among_others_may_be_allowed():
    mixed = SampleReader(require_claims=True, allow_unclaimed_rows=True)
    check_data(mixed, make_data({"claims": []}, {"claims": None}))
    check_data(mixed, iter([{"prompt": PROMPT, "images": [IMAGE], "claims": []}]))  # more may come
    with pytest.raises(DataError, match=f"row 1: {NO_IMAGE}"):
        check_data(mixed, make_data({"images": []}))
    with pytest.raises(DataError, match="train_dataset, all rows: there are no claims; add some"):
        check_data(mixed, make_data({"claims": []}).select([1]))
    row = {"problem": "?", "answer": "1", "images": [IMAGE]}
    samples = load_samples([{**row, "claims": CLAIMS}, {**row, "claims": None}])
    check_data(mixed, make_training_rows(samples))
    with pytest.raises(DataError, match="row 1: there are no claims"):
        check_data(CLAIMED, make_training_rows(samples))
    with pytest.raises(DataError, match="row 1: there are no claims"):
        check_data(mixed, make_training_rows(samples[1:]))


def test_a_column_of_one_image():
    data = make_data({"image": None}, {}, {"image": None}, image=Image())
    with pytest.raises(DataError, match=rf"row 1: {NO_IMAGE}; row 3: {NO_IMAGE}; fix"):
        check_data(CLAIMED, data)
    check_data(CLAIMED, data.select([0, 2]))


def test_labels_that_say_nothing():
    labels = ("CORRECT", "MAYBE", None)
    row = {"prompt": PROMPT, "images": [IMAGE], "claim_1": "A cat."}
    with pytest.raises(DataError, match=r"row 1: label 'MAYBE' is neither .*; row 2: claim_1 has no label"):
        check_data(CLAIMED, Dataset.from_list([{**row, "label_1": label} for label in labels]))


def test_columns_of_claims_that_do_not_go_together():
    data = make_rows().remove_columns("claims").add_column("claim_1", ["A cat."] * 6)
    with pytest.raises(DataError, match="the data set has no claims"):
        check_data(CLAIMED, data)
    data = data.add_column("label_1", ["CORRECT"] * 6).add_column("claim_2", ["A dog."] * 6)
    with pytest.raises(DataError, match="column 'claim_2' has no partner 'label_2'"):
        check_data(CLAIMED, data)


def test_no_column_of_images():
    with pytest.raises(DataError, match="claims but no images to check them against: its columns are prompt, answer"):
        check_data(CLAIMED, make_rows().remove_columns("images"))


def test_rows_are_counted_as_the_data_set_has_them():
    data = make_data({}, {"images": []}, {}, *[{}] * 2000).shuffle(seed=1)
    place = data.with_format("arrow")["images"].to_pylist().index([])
    with pytest.raises(DataError, match=f"train_dataset, row {place}: {NO_IMAGE}; fix"):
        check_data(CLAIMED, data)
    check_data(CLAIMED, data.select(range(place)))


@pytest.mark.parametrize("answer", [None, " ", "so " * 1000])
def test_a_row_without_an_answer(answer):
    data = make_data({"answer": answer})
    with pytest.raises(DataError, match=r"train_dataset, row 1: answer (is|has) "):
        check_data(GRADED, data)
    check_data(CLAIMED, data)


def test_no_column_of_answers():
    check_data(GRADED, make_data().rename_column("answer", "solution"))
    with pytest.raises(DataError, match=r"there is no column 'answer' or 'solution'.* The columns are prompt, reply"):
        check_data(GRADED, make_data().rename_column("answer", "reply"))


def test_samples_that_were_loaded_without_asking_for_claims(monkeypatch):
    monkeypatch.undo()
    rows = [{"problem": "q", "answer": "1", "images": [IMAGE], "claims": claims} for claims in (CLAIMS, [], CLAIMS)]
    data = make_training_rows(load_samples(rows))
    with pytest.raises(DataError, match=r"train_dataset, row 1: there are no claims; load_samples\(.*skip"):
        check_data(CLAIMED, data)
    check_data(CLAIMED, data.select([2, 0]))
    check_data(GRADED, data)


def test_samples_of_the_users_own():
    good = Sample("a", (IMAGE,), "q", "1", (Claim("A cat.", True),))
    data = make_training_rows([good, Sample("b", (), "q", "1", good.claims), Sample("c", (IMAGE,), "q", "1")])
    with pytest.raises(DataError, match=f"row 1: {NO_IMAGE}; row 2: {NO_CLAIMS}"):
        check_data(CLAIMED, data)


def test_the_first_row_of_what_cannot_be_read_twice(monkeypatch):
    monkeypatch.undo()
    bad, late = make_data({}).select([0]).map(lambda row: {"images": []}), make_data({"images": []})
    for change in (lambda data: data.to_iterable_dataset(), lambda data: data.with_transform(dict)):
        with pytest.raises(DataError, match=f"row 0: {NO_IMAGE}"):
            check_data(CLAIMED, change(bad))
        check_data(CLAIMED, change(late))
    with pytest.raises(DataError, match="eval_dataset is empty"):
        check_data(FREE, make_data(), make_data().select([]))


class LongImagesRefused:
    """Refuses images of a ratio above 20."""

    @staticmethod
    def image_processor(images: list[Any], return_tensors: str) -> None:
        if max(images[0].size) > 20 * min(images[0].size):
            raise ValueError("too long")


LONG, TALL = PIL.Image.new("RGB", (2280, 10)), PIL.Image.new("RGB", (10, 2280))
SAID = "an image is {} pixels, which the model's processor refuses .too long.; crop the image, or pad it"


@pytest.fixture
def sizes():
    return SizeCheck(LongImagesRefused())


@pytest.fixture
def images_open_again(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(PIL.ImageFile.ImageFile, "load", lambda self: pytest.fail("an image was decoded"))


def test_images_of_refused_sizes_are_named_by_row(sizes, images_open_again):
    data = make_data({"images": [IMAGE, LONG]}, {}, {"images": [TALL]})
    with pytest.raises(
        DataError, match=f"train_dataset, row 1: {SAID.format('2280 x 10')}; row 3: {SAID.format('10 x 2280')}; fix"
    ):
        check_sizes(sizes, data)
    with pytest.raises(DataError, match=r"eval_dataset\['hard'\], row 0: an image is 10 x 2280"):
        check_sizes(sizes, data.select([0, 2]), {"easy": data.select([0]), "hard": data.select([3, 0])})
    check_sizes(sizes, data.select([0, 2]), None)
    check_sizes(sizes, make_data().remove_columns("images"))
    check_sizes(sizes, make_data({"images": None}, {"images": []}))


@pytest.mark.parametrize("kind", [Image(), Image(decode=False), Value("binary"), Value("string")])
def test_sizes_are_read_from_files_however_a_column_holds_them(kind, sizes, images_open_again, tmp_path):
    good, long = tmp_path / "good.png", tmp_path / "long.png"
    PIL.Image.new("RGB", (64, 64)).save(good)
    LONG.save(long)
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"not an image")
    files = [good, long, bad]
    held = [file.read_bytes() for file in files] if kind == Value("binary") else [str(file) for file in files]
    if kind == Value("string"):
        held[0] = "https://example.org/a.png"  # left to TRL
    data = Dataset.from_dict({"image": held}, features=Features({"image": kind}))
    with pytest.raises(DataError, match=r"row 1: an image is 2280 x 10 .*; row 2: image .*is not an image"):
        check_sizes(sizes, data)
    check_sizes(sizes, data.select([0]))


def test_sizes_of_samples_are_known(sizes, monkeypatch):
    monkeypatch.undo()
    rows = [{"problem": "q", "answer": "1", "images": [image]} for image in (IMAGE, LONG, IMAGE, TALL)]
    loaded = load_samples(rows)
    for samples in (loaded, list(loaded)):
        data = make_training_rows(samples)
        with pytest.raises(DataError, match=r"train_dataset, row 1: an image is 2280 x 10.*; row 3: an image is 10 x"):
            check_sizes(sizes, data)
        check_sizes(sizes, data.select([2, 0]))
    with pytest.raises(DataError, match="row 0: an image is 10 x 2280"):
        check_sizes(sizes, make_training_rows(list(loaded)).select([3, 0]))


def test_sizes_of_what_cannot_be_read_twice_are_left_to_the_run(sizes, monkeypatch):
    monkeypatch.undo()
    data = make_data({"images": [LONG]})
    for change in (lambda data: data.to_iterable_dataset(), lambda data: data.with_transform(dict), list):
        check_sizes(sizes, change(data))
